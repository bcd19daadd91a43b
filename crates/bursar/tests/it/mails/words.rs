//! Mail contents: every notice in every language, and which templates are rejected.

use bursar::mail::{Language, Parts, Template, sample, variables};
use payout::notice::Notice;
use serde_json::{Value, json};

const OURS: &str = "https://bursar.example";

/// The built-in mail of a notice for one recipient.
fn built_in(notice: Notice, language: Language, for_partner: bool) -> (String, Parts) {
    let mut facts = sample(notice);
    if facts.get("reason").is_some() && for_partner {
        let (reason, remedy) = language.reason("account_closed");
        (facts["reason"], facts["remedy"]) = (json!(reason), json!(remedy));
    }
    if facts.get("for_partner").is_some() {
        facts["for_partner"] = json!(for_partner);
    }
    let rendered = language.built_in(notice).render(language, &facts).unwrap();
    let parts = Parts::of(language, &rendered.subject, &rendered.body, OURS);
    (rendered.subject, parts)
}

/// All mails of a language, one after the other.
fn all(language: Language) -> String {
    let mut message = String::new();
    for notice in Notice::ALL {
        let two = built_in(*notice, language, true) != built_in(*notice, language, false);
        for for_partner in [true, false].into_iter().take(if two { 2 } else { 1 }) {
            let (subject, parts) = built_in(*notice, language, for_partner);
            let reader = if two && !for_partner { ", for our own people" } else { "" };
            message +=
                &format!("======== {}{reader}\nSubject: {subject}\n\n{}\n", notice.as_str(), parts.text);
            if *notice == Notice::PaymentReturned {
                let mut facts = sample(*notice);
                let (reason, remedy) = language.reason("RECEIVER_UNREGISTERED");
                (facts["reason"], facts["remedy"]) = (json!(reason), json!(remedy));
                (facts["parked"], facts["for_partner"]) = (json!(false), json!(for_partner));
                let back = language.built_in(*notice).render(language, &facts).unwrap();
                let text = Parts::of(language, &back.subject, &back.body, OURS).text;
                message += &format!(
                    "======== the same, back with us{reader}\nSubject: {}\n\n{text}\n",
                    back.subject
                );
            }
        }
    }
    message
}

#[test]
fn every_mail_in_english() {
    insta::assert_snapshot!(all(Language::En));
}

#[test]
fn every_mail_in_german() {
    insta::assert_snapshot!(all(Language::De));
}

#[test]
fn every_mail_in_french() {
    insta::assert_snapshot!(all(Language::Fr));
}

#[test]
fn every_mail_in_spanish() {
    insta::assert_snapshot!(all(Language::Es));
}

#[test]
fn every_mail_in_japanese() {
    insta::assert_snapshot!(all(Language::Ja));
}

#[test]
fn every_mail_in_no_language() {
    insta::assert_snapshot!(all(Language::Pseudo));
}

#[test]
fn one_mail_as_html() {
    let (_, parts) = built_in(Notice::PaymentPaid, Language::En, true);
    insta::assert_snapshot!(parts.html);
}

/// A company's administrator is told which partner was paid, since it was not them.
#[test]
fn what_a_company_is_paid_is_told_by_its_name() {
    for language in Language::ALL.into_iter().filter(|language| *language != Language::Pseudo) {
        for notice in Notice::ALL {
            let mut facts = sample(*notice);
            if facts.get("company").is_none()
                || facts.get("for_partner").is_some_and(|it| *it == json!(false))
            {
                continue;
            }
            let of = |facts: &Value| language.built_in(*notice).render(language, facts).unwrap();
            let own = of(&facts);
            facts["company"] = json!("Acme");
            let companys = of(&facts);
            let place = format!("{} in {}", notice.as_str(), language.as_str());
            if *notice == Notice::PaymentNeedsReview {
                continue;
            }
            assert!(companys.subject.contains("Acme"), "{place}: {}", companys.subject);
            assert!(!own.subject.contains("Acme") && !own.body.contains("Acme"), "{place}");
            assert!(!companys.subject.contains("to you"), "{place}: {}", companys.subject);
        }
    }
}

#[test]
fn every_built_in_template_could_be_saved_and_leads_somewhere() {
    for language in Language::ALL {
        for notice in Notice::ALL {
            let template = language.built_in(*notice);
            let place = format!("{} in {}", notice.as_str(), language.as_str());
            assert_eq!(template.check(*notice), Ok(()), "{place}");
            let (_, parts) = built_in(*notice, language, true);
            assert!(parts.html.contains("href=\"https://bursar.example/page\""), "{place} has no button");
        }
    }
}

#[test]
fn what_is_not_changed_was_never_meant_to_be_translated() {
    for notice in Notice::ALL {
        let (_, parts) = built_in(*notice, Language::Pseudo, true);
        let lines = parts.text.lines().filter(|line| !line.is_empty() && *line != "-- ");
        for line in lines.filter(|line| !line.starts_with("https://")) {
            assert!(line.contains('⟦'), "{}: {line}", notice.as_str());
        }
    }
}

#[test]
fn the_variables_are_those_of_the_sample() {
    for notice in Notice::ALL {
        let mut named: Vec<String> =
            variables(*notice).iter().map(|variable| variable.name.to_owned()).collect();
        let mut given: Vec<String> = sample(*notice).as_object().unwrap().keys().cloned().collect();
        named.sort();
        given.sort();
        assert_eq!(named, given, "{}", notice.as_str());
        assert!(sample(*notice).as_object().unwrap().values().all(|value| *value != Value::Null));
    }
}

#[test]
fn a_link_that_opens_a_login_stands_in_a_button_and_nowhere_else() {
    let check = |subject: &str, body: &str| {
        let template = Template { subject: subject.to_owned(), body: body.to_owned() };
        template.check(Notice::LoginInvitation).map_err(|broken| (broken.field, broken.line))
    };
    let button = "Hello.\n\n> Choose a password | {{ link }}";
    assert_eq!(check("Welcome, {{ name }}", button), Ok(()));
    assert_eq!(
        check("Welcome", "{% if link %}Hello.{% endif %}\n\n> Go | {{ link }}"),
        Err(("body", Some(1)))
    );
    assert_eq!(check("Your link {{ link }}", button), Err(("subject", Some(1))));
    for body in [
        "open this address: {{ link }}",
        "> {{ link }} | {{ link }}",
        "> Go | {{ link }}?x",
        "> Go | {{ link[8:] }}",
        "- {{ link }}",
        "= Link | {{ link }}",
        "{% for letter in link %}{{ letter }} {% endfor %}",
        "Go: {% if name %}\n> Go | {{ link }}{% endif %}",
    ] {
        assert!(check("Welcome", body).is_err(), "{body}");
    }
    // A link that is not secret may appear anywhere.
    let template = Template { subject: "See {{ link }}".to_owned(), body: "{{ link }}".to_owned() };
    assert_eq!(template.check(Notice::RewardApproved), Ok(()));
}

#[test]
fn what_a_template_may_not_be() {
    let rows = [
        ("{{ tin }}", "Line 1 of the body: there is no `tin` in this notice"),
        ("one\n\n{{ amount }}\n{{ password }}", "Line 4 of the body: there is no `password` in this notice"),
        ("{% include \"/etc/passwd\" %}", "Line 1 of the body"),
        ("{% import \"x\" as x %}", "Line 1 of the body"),
        ("{% extends \"x\" %}", "Line 1 of the body"),
        ("{% macro x() %}{% endmacro %}", "Line 1 of the body"),
        ("one\n{% set amount = 1 %}", "Line 2 of the body: `set` cannot be used; if and for can"),
        ("{{ amount | upper }}", "Line 1 of the body"),
        ("{{ amount.secret }}", "Line 1 of the body"),
        ("{% for reward in rewards %}{{ reward.tin }}{% endfor %}", "Line 1 of the body"),
        ("{% if amount %}", "Line 1 of the body"),
        ("{{ range(1000000) }}", "Line 1 of the body: there is no `range` in this notice"),
        ("{{ \"x\" * 1000000 }}", "body: it writes more than 50000 bytes"),
        ("", "The body: it is empty"),
    ];
    for (body, expected) in rows {
        let template = Template { subject: "A subject".to_owned(), body: body.to_owned() };
        let message = template.check(Notice::PaymentPaid).unwrap_err().sentence(Notice::PaymentPaid);
        assert!(message.contains(expected), "{body:?}: {message}");
        assert!(
            message.contains("It may use greeting, name, link, for_partner, payee, company, payment"),
            "{message}"
        );
    }
    let runs =
        "{% for a in rewards %}{% for b in rewards %}{{ a.number }}{% endfor %}{% endfor %}".repeat(100);
    let nested = (0..18)
        .fold("x".to_owned(), |inner, depth| format!("{{% for v{depth} in rewards %}}{inner}{{% endfor %}}"));
    for body in [runs.clone() + &runs, nested] {
        let template = Template { subject: "A subject".to_owned(), body };
        let broken = template.check(Notice::PaymentPaid);
        assert!(broken.is_err(), "{broken:?}");
    }
    for subject in ["two\nlines", "", "\u{7}"] {
        let template = Template { subject: subject.to_owned(), body: "x".to_owned() };
        assert_eq!(template.check(Notice::PaymentPaid).unwrap_err().field, "subject");
    }
}

#[test]
fn a_value_is_words_and_never_structure() {
    let mut facts = sample(Notice::PaymentPaid);
    facts["payee"] = json!(
        "> Click here | https://bursar.example/steal\n\n= Amount | 1,000,000 USD\r\nBcc: x@example.com"
    );
    let template = Template { subject: "To {{ payee }}".to_owned(), body: "{{ payee }}".to_owned() };
    let rendered = template.render(Language::En, &facts).unwrap();
    assert!(!rendered.subject.contains(['\r', '\n']), "{:?}", rendered.subject);
    let parts = Parts::of(Language::En, &rendered.subject, &rendered.body, OURS);
    assert!(!parts.html.contains("href="), "{}", parts.html);
    assert_eq!(
        parts.text.lines().next(),
        Some("Click here | https://bursar.example/steal  = Amount | 1,000,000 USD  Bcc: x@example.com")
    );
}
