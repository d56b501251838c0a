//! API keys: random texts that clients send. A settings file holds only their hashes.
//!
//! A key has 256 random bits, so one round of SHA-256 is enough to keep it: nobody finds a key by trying.

use std::fmt;
use std::str::FromStr;

use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, error};
use subtle::{Choice, ConstantTimeEq};

/// Every key begins with this, so that programs that search for secrets in texts find it.
pub(crate) const PREFIX: &str = "braid_";
/// What stands before a hash, and says what it is.
const ALGORITHM: &str = "sha256:";
/// The bytes of a hash, and of what is random in a key.
const BYTES: usize = 32;

/// What the holder of a key may do. Who may do the greater may do the lesser, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Ask for answers.
    Read,
    /// Also see what may hold anything that clients have sent, and change what can be changed over HTTP.
    Admin,
}

impl Scope {
    /// Its name in settings and problems.
    pub fn name(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Admin => "admin",
        }
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Scope, String> {
        match text {
            "read" => Ok(Scope::Read),
            "admin" => Ok(Scope::Admin),
            _ => Err("a scope is read or admin".to_owned()),
        }
    }
}

/// Makes a key that nobody has. It is a secret: whoever keeps it wraps it.
///
/// # Errors
/// If the operating system gives no random bytes.
pub fn random() -> Result<String, error::Unspecified> {
    let mut bytes = [0; BYTES];
    SystemRandom::new().fill(&mut bytes)?;
    Ok(format!("{PREFIX}{}", Hex(&bytes)))
}

/// What is known of a key without knowing it. It prints as `sha256:` and 64 hexadecimal digits, and so it stands in settings.
#[derive(Clone, Copy)]
pub struct KeyHash([u8; BYTES]);

impl KeyHash {
    /// The hash of a key.
    pub fn of(key: &str) -> KeyHash {
        let digest = digest::digest(&digest::SHA256, key.as_bytes());
        let mut bytes = [0; BYTES];
        bytes.copy_from_slice(digest.as_ref());
        KeyHash(bytes)
    }

    /// Whether both are of one key. Takes the same time wherever they differ.
    pub fn is(&self, other: &KeyHash) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ALGORITHM}{}", Hex(&self.0))
    }
}

impl fmt::Debug for KeyHash {
    /// A hash does not lead to its key. Still, it is in no log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl FromStr for KeyHash {
    type Err = String;

    /// The error never repeats the text: it may be a key.
    fn from_str(text: &str) -> Result<KeyHash, String> {
        let wrong = || format!("a hash is {ALGORITHM} and {} hexadecimal digits", 2 * BYTES);
        let digits = text.strip_prefix(ALGORITHM).ok_or_else(wrong)?.as_bytes();
        let mut bytes = [0; BYTES];
        if digits.len() != 2 * BYTES {
            return Err(wrong());
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            let digit = |digit: u8| (digit as char).to_digit(16).ok_or_else(wrong);
            *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
        }
        Ok(KeyHash(bytes))
    }
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_long_and_each_is_another() {
        let (one, other) = (random().expect("random"), random().expect("random"));
        assert_ne!(one, other);
        assert_eq!(one.len(), PREFIX.len() + 64);
        assert!(one.starts_with(PREFIX));
        assert!(bool::from(KeyHash::of(&one).is(&KeyHash::of(&one))));
        assert!(!bool::from(KeyHash::of(&one).is(&KeyHash::of(&other))));
    }

    #[test]
    fn a_hash_is_read_as_it_is_written() {
        // The example of FIPS 180.
        let abc = KeyHash::of("abc");
        assert_eq!(abc.to_string(), "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let read: KeyHash = abc.to_string().parse().expect("read back");
        assert!(bool::from(read.is(&abc)));
        assert_eq!(format!("{abc:?}"), "***");
        let key = random().expect("random");
        for wrong in [&key, "sha256:ab", "", &"sha256:".repeat(12), &format!("sha256:{}", "x".repeat(64))] {
            let error = wrong.parse::<KeyHash>().expect_err(wrong);
            assert!(error.starts_with("a hash is sha256:") && !error.contains(&key), "{error}");
        }
    }

    #[test]
    fn who_may_the_greater_may_the_lesser() {
        assert!(Scope::Admin > Scope::Read);
        for scope in [Scope::Read, Scope::Admin] {
            assert_eq!(scope.name().parse(), Ok(scope));
        }
        assert!("write".parse::<Scope>().is_err());
    }
}
