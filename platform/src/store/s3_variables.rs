//! The settings of an S3 bucket as the variables by which other programs find it, those that use Amazon's names for them.

use std::collections::BTreeMap;

use object_store::ClientConfigKey;
use object_store::aws::AmazonS3ConfigKey;

use crate::settings;

/// What all of these variables begin with.
const PREFIX: &str = "AWS_";

/// The variables for a program that reads the store's files, besides those that this process has. With `None`, the program does not get
/// one that this process has: where the settings name an access key, nothing else may be taken for half of it. There are none where the
/// store is a folder. `own` are the names of this process's variables.
pub fn s3_variables(
    settings: &settings::Store,
    own: impl IntoIterator<Item = String>,
) -> BTreeMap<String, Option<String>> {
    let mut variables = BTreeMap::new();
    if !settings.url.starts_with("s3://") {
        return variables;
    }
    let (access_key, secret_key) = (settings.access_key.reveal(), settings.secret_key.reveal());
    if !access_key.is_empty() {
        variables.extend(own.into_iter().filter(|name| name.starts_with(PREFIX)).map(|name| (name, None)));
    }
    let (virtual_hosted, allow_http) = ((!settings.path_style).to_string(), settings.allow_http.to_string());
    let named = [
        (AmazonS3ConfigKey::VirtualHostedStyleRequest, virtual_hosted.as_str()),
        (AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp), allow_http.as_str()),
        (AmazonS3ConfigKey::Endpoint, settings.endpoint.as_str()),
        (AmazonS3ConfigKey::S3Endpoint, settings.endpoint.as_str()),
        (AmazonS3ConfigKey::Region, settings.region.as_str()),
        (AmazonS3ConfigKey::AccessKeyId, access_key),
        (AmazonS3ConfigKey::SecretAccessKey, secret_key),
    ];
    let named = named.into_iter().filter(|(_, value)| !value.is_empty());
    // Options come last, as they do where this process connects. One that is unknown was refused by then.
    let options =
        settings.options.iter().filter_map(|(name, value)| Some((name.parse::<AmazonS3ConfigKey>().ok()?, value)));
    variables.extend(named.chain(options).map(|(key, value)| (variable(&key), Some(value.to_owned()))));
    variables
}

/// What the variable of an option is called.
fn variable(key: &AmazonS3ConfigKey) -> String {
    let name = key.as_ref();
    format!("{PREFIX}{}", name.strip_prefix("aws_").unwrap_or(name).to_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Secret;

    fn of_bucket() -> settings::Store {
        settings::Store { url: "s3://bucket/prefix".to_owned(), ..Default::default() }
    }

    fn own() -> Vec<String> {
        ["AWS_PROFILE", "AWS_SESSION_TOKEN", "HOME"].map(str::to_owned).to_vec()
    }

    #[test]
    fn a_program_gets_what_the_settings_say_under_names_that_clients_read() {
        let settings = settings::Store {
            endpoint: "http://seaweedfs:8333".to_owned(),
            region: "eu-north-1".to_owned(),
            allow_http: true,
            options: [("proxy_url", "http://proxy:1"), ("aws_session_token", "t")].into_iter().collect(),
            ..of_bucket()
        };
        let variables = s3_variables(&settings, own());
        let expected = [
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_ENDPOINT", "http://seaweedfs:8333"),
            ("AWS_ENDPOINT_URL_S3", "http://seaweedfs:8333"),
            ("AWS_PROXY_URL", "http://proxy:1"),
            ("AWS_REGION", "eu-north-1"),
            ("AWS_SESSION_TOKEN", "t"),
            ("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "false"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), Some(value.to_owned())));
        assert_eq!(variables, BTreeMap::from(expected));
        for name in variables.keys() {
            // As a client reads its environment.
            let key: AmazonS3ConfigKey = name.to_lowercase().parse().expect(name);
            assert_eq!(variable(&key), *name);
        }
    }

    #[test]
    fn with_a_key_of_the_settings_no_other_is_left_and_a_folder_needs_none() {
        let keys = |settings| settings::Store {
            access_key: Secret::from("AKIA"),
            secret_key: Secret::from("hunter2"),
            ..settings
        };
        let variables = s3_variables(&keys(of_bucket()), own());
        assert_eq!((&variables["AWS_PROFILE"], &variables["AWS_SESSION_TOKEN"]), (&None, &None));
        assert_eq!(variables["AWS_ACCESS_KEY_ID"].as_deref(), Some("AKIA"));
        assert_eq!(variables["AWS_SECRET_ACCESS_KEY"].as_deref(), Some("hunter2"));
        assert!(!variables.contains_key("HOME"));
        assert!(s3_variables(&keys(settings::Store::default()), own()).is_empty());
    }
}
