//! The section `[alerts]`.

use serde::{Deserialize, Serialize};
use url::Url;

use super::bounds::not_zero;
use super::{Secret, SettingsError, Span};

/// The serving layer's alerts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Alerts {
    /// The topic that gets a record for each change of an alert's state. A second topic, with `.state` behind the name, keeps what is known
    /// of each. Default: the deployment's name with `.alerts` behind it.
    pub topic: String,
    /// How often alerts are judged. Default `2s`.
    pub every: Span,
    /// How long the serving process that judges may be silent until another one takes over; at least twice `every`. Default `10s`.
    pub lease: Span,
    /// How old answers may be: where nothing later was counted for so long, the state of an alert is unknown. Default `1m`.
    pub stale_after: Span,
    /// Where it is posted that an alert fires, or has ceased to, in the format of Alertmanager's webhooks. It may hold a secret, so it is
    /// never shown. Default: nowhere.
    pub webhook_url: Secret,
    /// A file whose content is sent as the header `Authorization`, such as `Bearer …`. It is read for each request. Default: none.
    pub webhook_authorization_file: String,
    /// The longest that a receiver may take to answer. Default `10s`.
    pub webhook_timeout: Span,
    /// The address of this serving layer as receivers are told it, such as `https://braid.example.org`. Default: none.
    pub external_url: String,
}

impl Default for Alerts {
    fn default() -> Alerts {
        Alerts {
            topic: String::new(),
            every: Span::from_secs(2),
            lease: Span::from_secs(10),
            stale_after: Span::from_secs(60),
            webhook_url: Secret::from(""),
            webhook_authorization_file: String::new(),
            webhook_timeout: Span::from_secs(10),
            external_url: String::new(),
        }
    }
}

impl Alerts {
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        for (key, url) in
            [("alerts.webhook_url", self.webhook_url.reveal()), ("alerts.external_url", self.external_url.as_str())]
        {
            if !url.is_empty() {
                let parsed = Url::parse(url).ok();
                let parsed = parsed.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
                if parsed.is_none() {
                    return Err(SettingsError::invalid(key, "must be http://host or https://host"));
                }
            }
        }
        let plain = self.topic.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-'));
        // Room for what stands behind the name of the topic of states.
        if !plain || self.topic.len() > 240 {
            return Err(SettingsError::invalid("alerts.topic", "must be at most 240 letters, digits, dots, _ and -"));
        }
        not_zero("alerts.every", self.every)?;
        not_zero("alerts.stale_after", self.stale_after)?;
        not_zero("alerts.webhook_timeout", self.webhook_timeout)?;
        if self.lease.get() < self.every.get() * 2 {
            return Err(SettingsError::invalid("alerts.lease", "must be at least twice alerts.every"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert!(Alerts::default().check().is_ok());
        let with = |change: fn(&mut Alerts)| {
            let mut alerts = Alerts::default();
            change(&mut alerts);
            alerts.check().map_err(|error| error.to_string())
        };
        assert_eq!(with(|alerts| alerts.webhook_url = Secret::from("https://hooks.example.org/T0/secret")), Ok(()));
        let refused = |change, what: &str| {
            let error = with(change).expect_err(what);
            assert!(error.contains(what) && !error.contains("T0"), "{error}");
        };
        refused(|alerts| alerts.webhook_url = Secret::from("hooks/T0"), "alerts.webhook_url");
        refused(|alerts| alerts.external_url = "braid:8080".to_owned(), "alerts.external_url");
        refused(|alerts| alerts.topic = "a b".to_owned(), "alerts.topic");
        refused(|alerts| alerts.lease = Span::from_secs(3), "at least twice alerts.every");
        refused(|alerts| alerts.every = Span::from_millis(0), "alerts.every");
    }

    #[test]
    fn an_address_with_a_secret_is_not_shown() {
        let alerts = Alerts { webhook_url: Secret::from("https://hooks.example.org/T0"), ..Alerts::default() };
        assert!(!format!("{alerts:?}").contains("T0"));
    }
}
