//! By whom a step is taken, as the pointer says it.

/// The flag that says so.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ByArgs {
    /// Who takes the step [default: the user and the host]
    #[arg(long, value_name = "WHO")]
    by: Option<String>,
}

impl ByArgs {
    /// Who takes the step. For information only.
    pub(super) fn who(self) -> String {
        self.by.unwrap_or_else(|| {
            let of = |name: &str, else_: &str| std::env::var(name).unwrap_or_else(|_| else_.to_owned());
            format!("{}@{}", of("USER", "unknown"), of("HOSTNAME", "unknown"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_who_was_named_or_the_user() {
        assert_eq!(ByArgs { by: Some("alice".to_owned()) }.who(), "alice");
        assert!(ByArgs { by: None }.who().contains('@'));
    }
}
