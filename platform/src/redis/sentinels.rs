//! Asks sentinels who the primary is.
//!
//! Sentinels do not learn of a failover at the same moment. Each says by which epoch of the configuration it answers, and every failover has a
//! greater one. So all are asked at once, and of what most of them say the newest counts. Where only fewer answer, theirs has to do.

use std::collections::HashMap;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Client, ErrorKind, RedisError as ClientError, RedisResult};
use futures::StreamExt;
use futures::stream::FuturesUnordered;

use super::{RedisError, info, not_a_url};

/// The sentinels that watch a primary.
pub(super) struct Sentinels {
    service: String,
    config: AsyncConnectionConfig,
    each: Vec<Sentinel>,
}

struct Sentinel {
    client: Client,
    /// Kept while it answers.
    connection: Option<MultiplexedConnection>,
}

/// Who is the primary, as a sentinel says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) host: String,
    pub(super) port: u16,
    /// Greater after each failover.
    pub(super) epoch: u64,
}

impl Sentinels {
    /// The sentinels with these URLs, which call the primary `service`. Nothing is connected to yet.
    pub(super) fn new(
        urls: &[String],
        service: String,
        config: AsyncConnectionConfig,
    ) -> Result<Sentinels, RedisError> {
        let sentinel = |url: &String| -> Result<Sentinel, RedisError> {
            let client = Client::open(info(url)?).map_err(not_a_url)?;
            Ok(Sentinel { client, connection: None })
        };
        Ok(Sentinels { service, config, each: urls.iter().map(sentinel).collect::<Result<_, _>>()? })
    }

    /// Who is the primary, as the newest answer of most sentinels says; of those that answer, if they are fewer.
    pub(super) async fn primary(&mut self) -> RedisResult<Named> {
        let (service, config, most) = (self.service.as_str(), &self.config, self.each.len() / 2 + 1);
        let mut asked: FuturesUnordered<_> =
            self.each.iter_mut().map(|sentinel| sentinel.ask(service, config)).collect();
        let (mut answered, mut newest, mut refused) = (0, None::<Named>, None);
        while answered < most {
            match asked.next().await {
                Some(Ok(named)) => {
                    answered += 1;
                    newest = Some(newer(newest, named));
                }
                Some(Err(error)) => refused = Some(error),
                None => break,
            }
        }
        let unknown = || ClientError::from((ErrorKind::MasterNameNotFoundBySentinel, "no sentinel knows the primary"));
        newest.ok_or_else(|| refused.unwrap_or_else(unknown))
    }
}

impl Sentinel {
    async fn ask(&mut self, service: &str, config: &AsyncConnectionConfig) -> RedisResult<Named> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.client.get_multiplexed_async_connection_with_config(config).await?,
        };
        let mut command = ::redis::cmd("SENTINEL");
        command.arg("MASTER").arg(service);
        let answer: HashMap<String, String> = command.query_async(&mut connection).await?;
        self.connection = Some(connection);
        let strange =
            || ClientError::from((ErrorKind::UnexpectedReturnType, "a sentinel does not say who is the primary"));
        named(&answer).ok_or_else(strange)
    }
}

/// Of what sentinels say, what was decided last.
fn newer(known: Option<Named>, other: Named) -> Named {
    known.filter(|known| known.epoch >= other.epoch).unwrap_or(other)
}

fn named(answer: &HashMap<String, String>) -> Option<Named> {
    let port = answer.get("port")?.parse().ok()?;
    let epoch = answer.get("config-epoch")?.parse().ok()?;
    Some(Named { host: answer.get("ip")?.clone(), port, epoch })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_sentinel_says_is_read() {
        let says = |pairs: &[(&str, &str)]| {
            let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            named(&pairs.iter().map(own).collect())
        };
        let whole = [("name", "main"), ("ip", "10.0.0.7"), ("port", "6380"), ("config-epoch", "3")];
        assert_eq!(says(&whole), Some(Named { host: "10.0.0.7".to_owned(), port: 6380, epoch: 3 }));
        assert_eq!(says(&whole[..3]), None);
        let of = |port, epoch| Named { host: "h".to_owned(), port, epoch };
        assert_eq!(newer(None, of(1, 0)), of(1, 0));
        assert_eq!(newer(Some(of(1, 2)), of(3, 4)), of(3, 4), "it has heard of a failover");
        assert_eq!(newer(Some(of(3, 4)), of(1, 2)), of(3, 4), "it has not");
        assert_eq!(says(&[("ip", "10.0.0.7"), ("port", "x"), ("config-epoch", "3")]), None);
    }
}
