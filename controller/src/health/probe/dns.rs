//! Does a name lead where it should?

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::str::FromStr;

use domain::base::iana::Rcode;
use domain::base::{Name, ParsedName, Rtype};
use domain::rdata::{A, Aaaa, Cname, Mx, Txt};
use domain::resolv::StubResolver;
use domain::resolv::stub::Answer;
use hyper::body::Bytes;

use super::way::bare;
use super::{Around, Clock, Finding, in_time};
use crate::catalogue::{DnsCheck, RecordType};
use crate::model::Host;

/// How many records are looked at.
const LOOKED_AT: usize = 100;

pub(super) async fn ask(
    question: &DnsCheck,
    host: Option<&Host>,
    around: &Around,
) -> Result<Finding, Finding> {
    let clock = Clock::start(question.timeout);
    let about = |finding: Finding| {
        finding
            .with("name", &question.name)
            .with("record", question.record.as_str())
    };
    let name = Name::<Vec<u8>>::from_str(&question.name)
        .map_err(|_| about(Finding::unknown("outside.dns.no_name")))?;
    // Made anew each time: who answers may have changed since, and nothing may still be waiting for one who is gone.
    let resolver = match &around.resolvers {
        Some(resolvers) => StubResolver::from_conf(resolvers.clone()),
        None => StubResolver::new(),
    };
    let late = || about(Finding::unknown("outside.dns.silent").then("next.resolver"));
    let looking = look_up(&resolver, &name, question.record);
    let found = clock.wait(looking, late).await?.map_err(about)?;
    if question.points_here {
        let host = host.ok_or_else(|| about(Finding::unknown("outside.nobody")))?;
        let late = || about(Finding::unknown("outside.dns.silent").then("next.resolver"));
        clock.wait(points_to(host, &found), late).await?.map_err(about)?;
    }
    let missing = question
        .values
        .iter()
        .find(|wanted| !is_among(wanted, &found, question.record));
    let said = list(&found);
    if let Some(wanted) = missing {
        return Err(about(
            Finding::critical("outside.dns.other")
                .with("found", said)
                .with("wanted", wanted)
                .then("next.dns"),
        ));
    }
    let good = Finding::ok("outside.dns.good").with("found", said);
    Ok(about(in_time(good, clock, None, None)))
}

/// All records of a name.
async fn look_up(
    resolver: &StubResolver,
    name: &Name<Vec<u8>>,
    record: RecordType,
) -> Result<BTreeSet<String>, Finding> {
    let types: &[Rtype] = match record {
        RecordType::Address => &[Rtype::A, Rtype::AAAA],
        RecordType::A => &[Rtype::A],
        RecordType::Aaaa => &[Rtype::AAAA],
        RecordType::Mx => &[Rtype::MX],
        RecordType::Txt => &[Rtype::TXT],
        RecordType::Cname => &[Rtype::CNAME],
    };
    let mut found = BTreeSet::new();
    for kind in types {
        let answer = resolver.query((name, *kind)).await.map_err(|error| {
            Finding::unknown("outside.dns.failed")
                .with("reason", error)
                .then("next.resolver")
        })?;
        match answer.header().rcode() {
            Rcode::NOERROR => found.extend(records(&answer, *kind)),
            Rcode::NXDOMAIN => return Err(Finding::critical("outside.dns.unknown_name").then("next.dns")),
            Rcode::SERVFAIL => return Err(Finding::critical("outside.dns.broken").then("next.broken_dns")),
            other => {
                return Err(Finding::unknown("outside.dns.failed")
                    .with("reason", other)
                    .then("next.resolver"));
            }
        }
    }
    if found.is_empty() {
        return Err(Finding::critical("outside.dns.no_record").then("next.dns"));
    }
    Ok(found)
}

/// The records of one type in an answer; an alias on the way is none of them.
fn records(answer: &Answer, kind: Rtype) -> Vec<String> {
    let Ok(section) = answer.answer() else {
        return Vec::new();
    };
    macro_rules! all {
        ($type:ty, $data:ident => $shown:expr) => {
            section
                .limit_to::<$type>()
                .flatten()
                .take(LOOKED_AT)
                .map(|record| {
                    let $data = record.data();
                    $shown
                })
                .collect()
        };
    }
    match kind {
        Rtype::A => all!(A, a => a.addr().to_string()),
        Rtype::AAAA => all!(Aaaa, aaaa => aaaa.addr().to_string()),
        Rtype::MX => all!(Mx<ParsedName<Bytes>>, mx => mx.exchange().to_string()),
        Rtype::CNAME => all!(Cname<ParsedName<Bytes>>, cname => cname.cname().to_string()),
        _ => all!(Txt<Bytes>, txt => {
            let bytes: Vec<u8> = txt.iter().flatten().copied().collect();
            String::from_utf8_lossy(&bytes).into_owned()
        }),
    }
}

fn is_among(wanted: &str, found: &BTreeSet<String>, record: RecordType) -> bool {
    let plain = |text: &str| text.trim_end_matches('.').to_ascii_lowercase();
    found.iter().any(|found| match record {
        // Long texts: a part of one is enough to recognise it.
        RecordType::Txt => found.contains(wanted),
        RecordType::Address | RecordType::A | RecordType::Aaaa => {
            matches!((wanted.parse::<IpAddr>(), found.parse::<IpAddr>()), (Ok(one), Ok(other)) if one == other)
        }
        RecordType::Mx | RecordType::Cname => plain(found) == plain(wanted),
    })
}

/// Whether addresses are those of a host, as far as that can be told from here.
async fn points_to(host: &Host, found: &BTreeSet<String>) -> Result<(), Finding> {
    let own: BTreeSet<IpAddr> = tokio::net::lookup_host((bare(&host.address), host.port))
        .await
        .map(|addresses| addresses.map(|address| address.ip()).collect())
        .unwrap_or_default();
    // Behind a router, the world knows the host by the router's address.
    if own.is_empty() || own.iter().any(|address| is_private(*address)) {
        return Ok(());
    }
    let found: Vec<IpAddr> = found.iter().filter_map(|address| address.parse().ok()).collect();
    // The host may have an address of the other kind that we were not told.
    let comparable = |address: &&IpAddr| own.iter().any(|own| own.is_ipv4() == address.is_ipv4());
    let elsewhere = found
        .iter()
        .filter(comparable)
        .find(|address| !own.contains(address));
    let here = found.iter().any(|address| own.contains(address));
    match (here, elsewhere) {
        (true, None) => Ok(()),
        (_, elsewhere) => Err(Finding::critical("outside.dns.elsewhere")
            .with(
                "found",
                elsewhere
                    .or(found.first())
                    .map_or_else(String::new, IpAddr::to_string),
            )
            .with("host", &host.name)
            .with(
                "wanted",
                list(own.iter().map(IpAddr::to_string).collect::<BTreeSet<_>>().iter()),
            )
            .then("next.dns")),
    }
}

/// Addresses that mean something only in one network.
fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            let shared = first == 100 && (64..128).contains(&second);
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || shared
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

fn list<'a>(found: impl IntoIterator<Item = &'a String>) -> String {
    const SHOWN: usize = 4;
    let all: Vec<&str> = found.into_iter().map(String::as_str).collect();
    let shown = all.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    if all.len() > SHOWN {
        return format!("{shown}, …");
    }
    shown
}
