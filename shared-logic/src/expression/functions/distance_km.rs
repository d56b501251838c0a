//! `distance_km(lat1, lon1, lat2, lon2)`: how far two places on earth are apart.

use super::PureFunction;
use crate::expression::Scalar;
use crate::schema::FieldType;

/// The great-circle distance of two places.
pub(super) const DISTANCE_KM: PureFunction = PureFunction {
    name: "distance_km",
    takes: &[FieldType::Float; 4],
    gives: FieldType::Float,
    is_total: false,
    about: "how many kilometres two places are apart, each a latitude and a longitude in degrees",
    apply,
};

/// The earth's mean radius (IUGG).
const RADIUS_KM: f64 = 6_371.008_8;
const RADIANS_OF_A_DEGREE: f64 = std::f64::consts::PI / 180.0;

fn apply<'a>(arguments: &[Scalar<'a>]) -> Scalar<'a> {
    match arguments {
        [Scalar::Float(lat1), Scalar::Float(lon1), Scalar::Float(lat2), Scalar::Float(lon2)] => {
            haversine([*lat1, *lon1], [*lat2, *lon2]).map_or(Scalar::Null, Scalar::float)
        }
        _ => Scalar::Null,
    }
}

/// The distance on a sphere; `None` where a latitude is beyond a pole, or a longitude beyond once around.
///
/// Sines are those of `libm`, which are the same on every machine; the standard library takes the platform's. A square root is
/// exact everywhere.
fn haversine([lat1, lon1]: [f64; 2], [lat2, lon2]: [f64; 2]) -> Option<f64> {
    let are_places =
        [lat1, lat2].iter().all(|lat| lat.abs() <= 90.0) && [lon1, lon2].iter().all(|lon| lon.abs() <= 360.0);
    if !are_places {
        return None;
    }
    let half_sine = |degrees: f64| libm::sin(degrees * RADIANS_OF_A_DEGREE / 2.0);
    let cosine = |degrees: f64| libm::cos(degrees * RADIANS_OF_A_DEGREE);
    let (north, east) = (half_sine(lat2 - lat1), half_sine(lon2 - lon1));
    let part = north * north + cosine(lat1) * cosine(lat2) * east * east;
    // Rounding may lead a little below nothing, or beyond the other side of the earth.
    Some(2.0 * RADIUS_KM * libm::asin(part.clamp(0.0, 1.0).sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_maps() {
        let (new_york, london, sydney) = ([40.7128, -74.006], [51.5074, -0.1278], [-33.8688, 151.2093]);
        let table = [
            (new_york, london, 5_570.2),
            (london, new_york, 5_570.2),
            (london, sydney, 16_993.9),
            (london, london, 0.0),
            // A quarter and a half of the way around, across the pole and along the equator; and the short way around.
            ([0.0, 0.0], [90.0, 33.0], 10_007.6),
            ([0.0, -90.0], [0.0, 90.0], 20_015.1),
            ([0.0, 179.5], [0.0, -179.5], 111.2),
            ([0.0, 359.5], [0.0, 0.5], 111.2),
        ];
        for (from, to, expected) in table {
            let km = haversine(from, to).expect("two places");
            assert!((km - expected).abs() < 0.1, "{from:?} to {to:?} is {km}, not {expected}");
        }
    }

    #[test]
    fn what_is_no_place_has_no_distance() {
        for (lat, lon) in [(90.1, 0.0), (-91.0, 0.0), (0.0, 361.0), (1e308, 0.0), (0.0, -1e308)] {
            assert_eq!(haversine([lat, lon], [0.0, 0.0]), None, "{lat} {lon}");
            assert_eq!(haversine([0.0, 0.0], [lat, lon]), None, "{lat} {lon}");
        }
        assert_eq!(apply(&[Scalar::Float(0.0), Scalar::Float(0.0), Scalar::Null, Scalar::Float(0.0)]), Scalar::Null);
    }
}
