//! Shortens a failing scenario: removes lines, many at a time and then one by one, as long as it still fails in the
//! same way. Not here: what counts as failing (`life`).

use crate::life;

/// The most runs to spend on it.
const PLAYS: usize = 400;

/// The kind of failure: the invariant, or the first words of the message.
pub fn kind(told: &str) -> String {
    let numbered = |word: &&str| {
        let digits = word.strip_prefix('I').map(|rest| rest.trim_end_matches([':', ',']));
        digits.is_some_and(|digits| digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit()))
    };
    if let Some(invariant) = told.split_whitespace().find(numbered) {
        return invariant.trim_end_matches([':', ',']).to_owned();
    }
    let mut lines = told.lines().skip(1).map(str::trim);
    let line = lines.find(|line| !line.is_empty() && !line.starts_with("seed"));
    line.map_or(String::new(), |line| line.chars().take(24).collect())
}

/// The shortest scenario found that fails in the same way, and its message.
pub async fn shrunk(seed: u64, text: &str, told: &str) -> (String, String) {
    let wanted = kind(told);
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let (mut best, mut plays) = (told.to_owned(), 0);
    let mut size = lines.len() / 2;
    while size > 0 && plays < PLAYS {
        // From the end, because later lines depend on earlier ones. The first line is the header.
        let mut end = lines.len();
        let mut shorter = false;
        while end > 1 && plays < PLAYS {
            let start = end.saturating_sub(size).max(1);
            let mut fewer = lines.clone();
            fewer.drain(start..end);
            plays += 1;
            let life = life::of_text(seed, fewer.join("\n") + "\n").await;
            if let Some(message) = life.failure.filter(|told| kind(told) == wanted) {
                (lines, best, shorter) = (fewer, message, true);
            }
            end = start.min(lines.len());
        }
        size = if shorter && size == 1 { 1 } else { size / 2 };
    }
    (lines.join("\n") + "\n", best)
}
