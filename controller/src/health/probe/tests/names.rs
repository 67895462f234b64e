//! Names in the DNS, asked of a small server of our own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use domain::base::iana::Rcode;
use domain::base::{Message, MessageBuilder, Name, Rtype, Ttl};
use domain::rdata::{A, Aaaa, Cname, Mx, Txt};
use domain::resolv::stub::conf::{ResolvConf, ServerConf, Transport};
use serde_json::{Value, json};
use tokio::net::UdpSocket;

use super::{asked_with, assert_is, check};
use crate::health::probe::{Means, Prober};
use crate::model::{Answer, Host, Status};

fn name(text: &str) -> Name<Vec<u8>> {
    text.parse().expect(text)
}

/// What the server answers, by name: other names do not exist.
fn answer(request: &Message<Vec<u8>>) -> Option<Vec<u8>> {
    let question = request.sole_question().ok()?;
    let asked = question.qname().to_string();
    let builder = || MessageBuilder::new_vec();
    let rcode = match asked.as_str() {
        "broken.example.org" => Rcode::SERVFAIL,
        "refused.example.org" => Rcode::REFUSED,
        "silent.example.org" => return None,
        "cloud.example.org" | "www.example.org" | "v6.example.org" => Rcode::NOERROR,
        _ => Rcode::NXDOMAIN,
    };
    let mut reply = builder().start_answer(request, rcode).ok()?;
    let owner = question.qname();
    let ttl = Ttl::from_secs(60);
    match (asked.as_str(), question.qtype()) {
        ("cloud.example.org", Rtype::A) => {
            reply.push((owner, ttl, A::from_octets(192, 0, 2, 7))).ok()?;
        }
        ("cloud.example.org", Rtype::MX) => {
            reply
                .push((owner, ttl, Mx::new(10, name("mail.example.org."))))
                .ok()?;
        }
        ("cloud.example.org", Rtype::TXT) => {
            let text: Txt<Vec<u8>> = Txt::build_from_slice(b"v=spf1 include:mail.example.org -all").ok()?;
            reply.push((owner, ttl, text)).ok()?;
        }
        ("www.example.org", Rtype::A) => {
            let target = name("cloud.example.org.");
            reply.push((owner, ttl, Cname::new(target.clone()))).ok()?;
            reply.push((target, ttl, A::from_octets(192, 0, 2, 7))).ok()?;
        }
        ("www.example.org", Rtype::CNAME) => {
            reply
                .push((owner, ttl, Cname::new(name("Cloud.example.org."))))
                .ok()?;
        }
        ("v6.example.org", Rtype::AAAA) => {
            reply
                .push((owner, ttl, Aaaa::new("2001:db8::7".parse().ok()?)))
                .ok()?;
        }
        _ => {}
    }
    Some(reply.finish())
}

/// Starts the server and says how it is asked.
async fn resolvers() -> ResolvConf {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("binds");
    let address = socket.local_addr().expect("is bound");
    tokio::spawn(async move {
        let mut bytes = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut bytes).await {
            let reply = Message::from_octets(bytes[..length].to_vec())
                .ok()
                .and_then(|request| answer(&request));
            if let Some(reply) = reply {
                let _ = socket.send_to(&reply, from).await;
            }
        }
    });
    asking(address)
}

fn asking(address: SocketAddr) -> ResolvConf {
    let mut resolvers = ResolvConf::new();
    resolvers
        .servers
        .push(ServerConf::new(address, Transport::UdpTcp));
    resolvers.finalize();
    resolvers
}

async fn looked_up(question: Value) -> Answer {
    let means = Means {
        resolvers: Some(resolvers().await),
        ..Means::default()
    };
    asked_with(means, question).await
}

#[tokio::test]
async fn records_of_every_type_are_found_and_compared() {
    for (name, record, value) in [
        ("cloud.example.org", "address", "192.0.2.7"),
        ("cloud.example.org", "a", "192.0.2.7"),
        ("v6.example.org", "aaaa", "2001:DB8:0::7"),
        ("v6.example.org.", "address", "2001:db8::7"),
        ("cloud.example.org", "mx", "MAIL.example.org."),
        ("cloud.example.org", "txt", "include:mail.example.org"),
        ("www.example.org", "a", "192.0.2.7"),
        ("www.example.org", "cname", "cloud.example.org"),
    ] {
        let question = json!({ "kind": "dns", "name": name, "record": record });
        let answer = looked_up(question.clone()).await;
        assert_is(&answer, Status::Ok, "is in the DNS", &question.to_string());
        let mut question = question;
        question["values"] = json!([value]);
        let answer = looked_up(question.clone()).await;
        assert_is(&answer, Status::Ok, "is in the DNS", &question.to_string());
        question["values"] = json!([value, "192.0.2.99"]);
        let answer = looked_up(question.clone()).await;
        assert_is(
            &answer,
            Status::Critical,
            "expected is 192.0.2.99",
            &question.to_string(),
        );
    }
}

#[tokio::test]
async fn each_way_in_which_a_name_can_be_missing_has_its_own_words() {
    for (name, record, status, words) in [
        ("nobody.example.org", "a", Status::Critical, "does not exist"),
        (
            "cloud.example.org",
            "aaaa",
            Status::Critical,
            "no record of the type AAAA",
        ),
        (
            "v6.example.org",
            "mx",
            Status::Critical,
            "no record of the type MX",
        ),
        (
            "broken.example.org",
            "a",
            Status::Critical,
            "name servers of the domain are disturbed",
        ),
        ("refused.example.org", "a", Status::Unknown, "cannot be told"),
        ("silent.example.org", "a", Status::Unknown, "does not answer"),
    ] {
        let question = json!({ "kind": "dns", "name": name, "record": record, "timeout": 1 });
        let answer = looked_up(question.clone()).await;
        assert_is(&answer, status, words, &question.to_string());
        assert!(answer.advice.is_some(), "{question}");
    }
}

async fn led_to(name: &str, address: &str) -> Answer {
    let means = Means {
        resolvers: Some(resolvers().await),
        ..Means::default()
    };
    let host = Host {
        address: address.to_owned(),
        ..super::host().await
    };
    let question = json!({ "kind": "dns", "name": name, "points_here": true });
    let prober = Prober::new(1, means);
    prober.ask(&check(question), Some(&host)).await.expect("asked")
}

#[tokio::test]
async fn a_name_leads_to_the_host_or_elsewhere() {
    let answer = led_to("cloud.example.org", "192.0.2.7").await;
    assert_is(&answer, Status::Ok, "is in the DNS", "here");
    let answer = led_to("www.example.org", "192.0.2.8").await;
    assert_is(
        &answer,
        Status::Critical,
        "leads to 192.0.2.7 in the DNS and not to web1 (192.0.2.8)",
        "elsewhere",
    );
    let answer = led_to("v6.example.org", "192.0.2.8").await;
    assert_is(
        &answer,
        Status::Critical,
        "leads to 2001:db8::7",
        "only elsewhere",
    );
    let answer = led_to("cloud.example.org", "[2001:db8::8]").await;
    assert_is(&answer, Status::Critical, "leads to 192.0.2.7", "another kind");
    // The world knows a host behind a router by another address.
    for private in [
        "10.0.0.7",
        "192.168.178.20",
        "100.64.0.9",
        "[fd00::7]",
        "127.0.0.1",
    ] {
        assert_is(
            &led_to("cloud.example.org", private).await,
            Status::Ok,
            "is in the DNS",
            private,
        );
    }
}

#[tokio::test]
async fn a_resolver_that_is_not_there_makes_no_name_wrong() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("binds");
    let port = socket.local_addr().expect("is bound").port();
    drop(socket);
    let means = Means {
        resolvers: Some(asking((IpAddr::V4(Ipv4Addr::LOCALHOST), port).into())),
        ..Means::default()
    };
    let question = json!({ "kind": "dns", "name": "cloud.example.org", "timeout": 1 });
    let answer = asked_with(means, question).await;
    assert_is(&answer, Status::Unknown, "cannot be told", "");
}
