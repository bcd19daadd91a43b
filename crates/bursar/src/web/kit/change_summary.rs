//! Summarizes a change for people, from the JSON detail in the audit trail: values before and after, without unchanged
//! ones.

use serde_json::{Map, Value};

use super::format::plain;

/// What precedes the address that a request came from, the last of the details.
pub const CAME_FROM: &str = "came from: ";

/// The details, one by one.
pub fn particulars(json: &str) -> Vec<String> {
    let Ok(Value::Object(mut fields)) = serde_json::from_str(json) else { return Vec::new() };
    // Signed passkey data is for verification only, and stays in the trail.
    fields.remove("evidence");
    let came_from = fields.remove("came_from");
    let mut lines = Vec::new();
    if let (Some(Value::Object(before)), Some(Value::Object(after))) =
        (fields.get("before"), fields.get("after"))
    {
        lines.extend(changes(before, after));
        fields.remove("before");
        fields.remove("after");
    }
    for (from, to, name) in pairs(&fields) {
        if let (Some(before), Some(after)) = (fields.remove(&from), fields.remove(&to)) {
            lines.push(change(&name, &before, &after));
        }
    }
    lines.retain(|line| !line.is_empty());
    if let Some(rewards) = which_rewards(&fields) {
        lines.push(rewards);
        fields.retain(|name, _| name != "rewards" && name != "which");
    }
    lines.extend(fields.iter().filter_map(|(name, value)| {
        let value = moment_in_micros(value).unwrap_or_else(|| named(name, value));
        (!value.is_empty()).then(|| format!("{}: {value}", label(name)))
    }));
    lines.extend(came_from.as_ref().and_then(Value::as_str).map(|from| format!("{CAME_FROM}{from}")));
    lines
}

/// How many rewards, and which.
fn which_rewards(fields: &Map<String, Value>) -> Option<String> {
    let (many, which) = (fields.get("rewards")?.as_u64()?, fields.get("which")?.as_str()?);
    let noun = if many == 1 { "reward" } else { "rewards" };
    Some(format!("{many} {noun}: {}", which.split(' ').collect::<Vec<_>>().join(", ")))
}

/// Pairs of fields that hold the old and the new value: both names, and the name of what changed.
fn pairs(fields: &Map<String, Value>) -> Vec<(String, String, String)> {
    let mut pairs = Vec::new();
    if fields.contains_key("old") && fields.contains_key("new") {
        pairs.push(("old".to_owned(), "new".to_owned(), String::new()));
    }
    for name in fields.keys().filter_map(|name| name.strip_suffix("_from")) {
        let to = format!("{name}_to");
        if fields.contains_key(&to) {
            pairs.push((format!("{name}_from"), to, name.to_owned()));
        }
    }
    pairs
}

/// The differences between two objects.
fn changes(before: &Map<String, Value>, after: &Map<String, Value>) -> Vec<String> {
    let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
    let nothing = Value::Null;
    let of = |fields: &Map<String, Value>, name: &str| fields.get(name).unwrap_or(&nothing).clone();
    names
        .map(|name| change(name, &of(before, name), &of(after, name)))
        .filter(|line| !line.is_empty())
        .collect()
}

/// One change in words; empty if the values are equal.
fn change(name: &str, before: &Value, after: &Value) -> String {
    if before == after {
        return String::new();
    }
    let side = |value: &Value| match named(name, value) {
        none if none.is_empty() => "nothing".to_owned(),
        words => words,
    };
    let from_to = format!("{} → {}", side(before), side(after));
    if name.is_empty() { from_to } else { format!("{}: {from_to}", label(name)) }
}

fn label(name: &str) -> String {
    plain(name).to_lowercase()
}

/// A value in words; an enum value of ours loses its underscores.
fn named(name: &str, value: &Value) -> String {
    const OURS: [&str; 7] = ["", "fact", "state", "status", "role", "from", "standing"];
    let words = words(value);
    let spelled = words.bytes().all(|letter| letter.is_ascii_lowercase() || letter == b'_');
    if spelled && OURS.contains(&name) { words.replace('_', " ") } else { words }
}

/// How many characters of a value are shown; the audit trail has all of it.
const SHOWN: usize = 300;

/// A value in words; empty if there is nothing to show.
fn words(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(yes) => (if *yes { "yes" } else { "no" }).to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if is_moment(text) => {
            crate::clock::moment(text).map_or_else(|| text.clone(), crate::clock::human)
        }
        Value::String(text) => match text.char_indices().nth(SHOWN) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text.clone(),
        },
        Value::Array(values) => {
            values.iter().map(words).filter(|one| !one.is_empty()).collect::<Vec<_>>().join(", ")
        }
        Value::Object(fields) => object(fields),
    }
}

/// A timestamp stored as microseconds, as in safe mode's state: between the years 2001 and 2100.
fn moment_in_micros(value: &Value) -> Option<String> {
    let at = value.as_i64().filter(|at| (1_000_000_000_000_000..4_102_444_800_000_000).contains(at))?;
    Some(crate::clock::human(at))
}

/// Whether it has the form `2026-03-02T02:00:00Z`.
fn is_moment(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 20
        && bytes[10] == b'T'
        && bytes.ends_with(b"Z")
        && bytes[..4].iter().all(u8::is_ascii_digit)
}

fn object(fields: &Map<String, Value>) -> String {
    let text = |name: &str| fields.get(name).map(words).filter(|text| !text.is_empty());
    if let (Some(value), Some(currency)) = (text("value"), text("currency")) {
        let of = text("vendor").or_else(|| text("year"));
        return of.map_or_else(|| format!("{value} {currency}"), |of| format!("{of} {value} {currency}"));
    }
    let named = fields.iter().filter_map(|(name, value)| {
        let value = moment_in_micros(value).unwrap_or_else(|| words(value));
        (!value.is_empty()).then(|| format!("{} {value}", label(name)))
    });
    named.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::particulars;

    #[test]
    fn a_change_is_told_from_before_to_after_and_never_as_json() {
        let rows = [
            (r#"{"rewards":3,"old":null,"reason":"a copy"}"#, "reason: a copy · rewards: 3"),
            (r#"{"rewards":2,"which":"RW-000013 RW-000014"}"#, "2 rewards: RW-000013, RW-000014"),
            (r#"{"until":"2026-03-02T02:00:00Z"}"#, "until: 2 Mar 2026, 02:00 UTC"),
            ("{}", ""),
            (r#"{"came_from":"203.0.113.9","name":"A"}"#, "name: A · came from: 203.0.113.9"),
            (
                r#"{"state":{"at":1796006370372713,"says":"Ana switched it on.","since":null}}"#,
                "state: at 30 Nov 2026, 02:39 UTC, says Ana switched it on.",
            ),
            ("not json", ""),
            (r#"{"old":"payer","new":"admin"}"#, "payer → admin"),
            (r#"{"external_id":"a_b","fact":"payout_paid"}"#, "external id: a_b · fact: payout paid"),
            (r#"{"status_from":"approved","status_to":"in_review"}"#, "status: approved → in review"),
            (
                r#"{"before":{"enabled":false,"vendors":[],"a":1},"after":{"enabled":true,"vendors":["stripe","paypal"],"a":1}}"#,
                "enabled: no → yes · vendors: nothing → stripe, paypal",
            ),
            (
                r#"{"before":{"limits":{}},"after":{"limits":{"per_day":[{"value":"5.00","currency":"USD"}]}}}"#,
                "limits: nothing → per day 5.00 USD",
            ),
            (
                r#"{"before":{"name":"A"},"after":{"name":"B","country":"DE"}}"#,
                "name: A → B · country: nothing → DE",
            ),
        ];
        for (json, message) in rows {
            assert_eq!(particulars(json).join(" · "), message, "{json}");
            assert!(!message.contains('{'));
        }
    }
}
