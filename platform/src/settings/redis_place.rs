//! What `redis.url` names: one server, a cluster, or a primary that sentinels watch.

use std::fmt;

use url::{Url, form_urlencoded};

/// The port of a Redis, where the address names none.
const REDIS_PORT: u16 = 6379;
/// The port of a sentinel, where the address names none.
const SENTINEL_PORT: u16 = 26_379;

/// Where the speed view is. Addresses may hold passwords, so that none is ever printed.
#[derive(Clone, PartialEq, Eq)]
pub enum RedisPlace {
    /// One server, by its URL.
    One(String),
    /// A cluster, by the URLs of some of its nodes; these know the others.
    Cluster(Vec<String>),
    /// A primary with replicas, of which sentinels say who is the primary now.
    Watched {
        /// The URLs of the sentinels.
        sentinels: Vec<String>,
        /// What they call the primary.
        service: String,
        /// A URL with how to log in to the primary, and its database. The host in it stands for whichever the sentinels name.
        primary: String,
    },
}

impl RedisPlace {
    /// Reads `redis.url`. The URL of one server is left to the client, which knows more schemes.
    ///
    /// # Errors
    /// What the setting must be; without the URL, which may hold a password.
    pub fn parse(url: &str) -> Result<RedisPlace, &'static str> {
        let Some((scheme, rest)) = url.split_once("://") else { return Ok(RedisPlace::One(url.to_owned())) };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, hosts) = authority.rsplit_once('@').map_or(("", authority), |(login, hosts)| (login, hosts));
        let is_several = scheme.ends_with("-cluster") || scheme.ends_with("+sentinel");
        // Of one server, a comma alone may be one of the password's.
        let may_name_hosts = if is_several { login } else { login.split_once('@').map_or("", |(_, rest)| rest) };
        if may_name_hosts.contains(',') {
            return Err(if is_several { LOGIN_AGAIN } else { SEVERAL });
        }
        let login = if login.is_empty() { String::new() } else { format!("{login}@") };
        match scheme {
            "redis-cluster" => cluster("redis", &login, hosts, path, query),
            "rediss-cluster" => cluster("rediss", &login, hosts, path, query),
            "redis+sentinel" => watched("redis", &login, hosts, path, query),
            "rediss+sentinel" => watched("rediss", &login, hosts, path, query),
            _ if hosts.contains(',') => Err(SEVERAL),
            _ => Ok(RedisPlace::One(url.to_owned())),
        }
    }
}

impl fmt::Debug for RedisPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RedisPlace::One(_) => "One(***)",
            RedisPlace::Cluster(_) => "Cluster(***)",
            RedisPlace::Watched { .. } => "Watched(***)",
        })
    }
}

fn cluster(scheme: &str, login: &str, hosts: &str, path: &str, query: &str) -> Result<RedisPlace, &'static str> {
    if !matches!(path, "" | "0") {
        return Err("must end after the hosts or with /0: a cluster has no other database");
    }
    if !query.is_empty() {
        return Err("must have no parameters: a cluster has none");
    }
    Ok(RedisPlace::Cluster(nodes(scheme, login, hosts, REDIS_PORT)?))
}

fn watched(scheme: &str, login: &str, hosts: &str, path: &str, query: &str) -> Result<RedisPlace, &'static str> {
    let (service, database) = path.split_once('/').unwrap_or((path, "0"));
    if service.is_empty() {
        return Err("must end with what the sentinels call the primary: redis+sentinel://host[:port],…/SERVICE");
    }
    if database.parse::<u32>().is_err() {
        return Err("must end with /SERVICE or /SERVICE/DATABASE, and a database is a number");
    }
    let (mut user, mut password) = (String::new(), String::new());
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "sentinel_user" => user = value.into_owned(),
            "sentinel_password" => password = value.into_owned(),
            _ => return Err("must have no parameters but sentinel_user and sentinel_password"),
        }
    }
    let mut sentinels = nodes(scheme, "", hosts, SENTINEL_PORT)?;
    for sentinel in &mut sentinels {
        // A URL with a host takes both.
        let mut url = Url::parse(sentinel).map_err(|_| NO_HOSTS)?;
        url.set_username(&user).map_err(|()| NO_HOSTS)?;
        url.set_password(Some(&*password).filter(|password| !password.is_empty())).map_err(|()| NO_HOSTS)?;
        *sentinel = url.into();
    }
    let primary = format!("{scheme}://{login}primary/{database}");
    Ok(RedisPlace::Watched { sentinels, service: service.to_owned(), primary })
}

const SEVERAL: &str = "names several hosts: it must begin with redis-cluster:// or redis+sentinel:// for that (an @ and a \
                       comma of a password are written %40 and %2C)";
const LOGIN_AGAIN: &str = "names a user or a password behind a comma: both stand once, before the first host, as in \
                           redis-cluster://user:password@host:port,host:port (a comma of a password is written %2C)";
const NO_HOSTS: &str = "must name hosts: host[:port], separated by commas and without spaces";

fn nodes(scheme: &str, login: &str, hosts: &str, port: u16) -> Result<Vec<String>, &'static str> {
    hosts.split(',').map(|host| node(scheme, login, host, port).ok_or(NO_HOSTS)).collect()
}

/// The URL of one host; `None` if it is none.
fn node(scheme: &str, login: &str, host: &str, port: u16) -> Option<String> {
    let url = Url::parse(&format!("{scheme}://{host}")).ok().filter(|url| url.fragment().is_none())?;
    let name = url.host_str().filter(|name| !name.is_empty() && !name.contains('%'))?;
    Some(format!("{scheme}://{login}{name}:{}", url.port().unwrap_or(port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> RedisPlace {
        RedisPlace::parse(url).unwrap_or_else(|reason| panic!("{url}: {reason}"))
    }

    #[test]
    fn one_server_is_left_to_the_client() {
        for url in ["redis://db", "rediss://:pass,word@db:6379/2", "unix:///run/redis.sock", "db:6379"] {
            assert!(parsed(url) == RedisPlace::One(url.to_owned()), "{url}");
        }
        for url in ["redis://:hunter2@a:1,b:2", "redis://:hunter2@a:1,:hunter2@b:2"] {
            let several = RedisPlace::parse(url).expect_err("several hosts");
            assert!(several.contains("redis-cluster://") && !several.contains("hunter2"), "{several}");
        }
    }

    #[test]
    fn a_login_that_stands_behind_a_comma_is_refused_with_where_it_stands() {
        for wrong in [
            "redis-cluster://u:hunter2@a:1,u:hunter2@b:2",
            "rediss-cluster://:hunter2@a,:hunter2@b,:hunter2@c/0",
            "redis-cluster://a:1,u:hunter2@b:2",
            "redis+sentinel://:hunter2@s1,:hunter2@s2/main",
            "rediss+sentinel://s1,:hunter2@s2/main",
        ] {
            let reason = RedisPlace::parse(wrong).expect_err(wrong);
            assert!(reason.contains("once, before the first host"), "{wrong}: {reason}");
            assert!(reason.contains("redis-cluster://user:password@host:port,host:port"), "{reason}");
            assert!(!reason.contains("hunter2"), "{reason}");
        }
        let comma = parsed("redis-cluster://u:a%2Cb@a:1,b:2");
        let nodes = ["redis://u:a%2Cb@a:1", "redis://u:a%2Cb@b:2"].map(str::to_owned);
        assert!(comma == RedisPlace::Cluster(nodes.to_vec()));
    }

    #[test]
    fn the_nodes_of_a_cluster_log_in_alike() {
        let nodes = |urls: &[&str]| RedisPlace::Cluster(urls.iter().map(|url| (*url).to_owned()).collect());
        assert!(parsed("redis-cluster://a,b:7001") == nodes(&["redis://a:6379", "redis://b:7001"]));
        let tls = parsed("rediss-cluster://u:p%40@a.example.org:7000,[::1]/0");
        assert!(tls == nodes(&["rediss://u:p%40@a.example.org:7000", "rediss://u:p%40@[::1]:6379"]));
        for wrong in [
            "redis-cluster://",
            "redis-cluster://a,",
            "redis-cluster://a, b",
            "redis-cluster://a:x",
            "redis-cluster://a:70000",
            "redis-cluster://a/1",
            "redis-cluster://a?db=1",
        ] {
            assert!(RedisPlace::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sentinels_have_a_login_of_their_own() {
        let place = parsed("redis+sentinel://:secret@s1,s2:26380/main/3?sentinel_user=watcher&sentinel_password=a%2Fb");
        let RedisPlace::Watched { sentinels, service, primary } = &place else { panic!("sentinels are named") };
        assert_eq!(sentinels, &["redis://watcher:a%2Fb@s1:26379", "redis://watcher:a%2Fb@s2:26380"]);
        assert_eq!((service.as_str(), primary.as_str()), ("main", "redis://:secret@primary/3"));
        let place = parsed("rediss+sentinel://s1/main");
        let RedisPlace::Watched { sentinels, primary, .. } = &place else { panic!("sentinels are named") };
        assert_eq!((sentinels[0].as_str(), primary.as_str()), ("rediss://s1:26379", "rediss://primary/0"));
        assert_eq!(format!("{place:?}"), "Watched(***)");
        for wrong in [
            "redis+sentinel://s1",
            "redis+sentinel://s1/",
            "redis+sentinel:///main",
            "redis+sentinel://s1/main/x",
            "redis+sentinel://s1/main?password=x",
        ] {
            assert!(RedisPlace::parse(wrong).is_err(), "{wrong}");
        }
    }
}
