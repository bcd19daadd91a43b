//! Makes a life that fails as short as it can be: lines are left out, many at a time and then one by one, as long as it still
//! fails in the same way. What is deliberately not here: what failing means (`life`).

use crate::life;

/// So many plays at most.
const PLAYS: usize = 400;

/// What kind of failure it is: the invariant, or the first words of what was said.
pub fn kind(told: &str) -> String {
    let line = told
        .lines()
        .map(str::trim)
        .find(|line| line.len() > 4 && line.as_bytes()[0] == b'I' && line.contains(": "));
    match line.and_then(|line| line.split(':').next()) {
        Some(invariant) if invariant.len() < 12 => invariant.to_owned(),
        Some(_) | None => told
            .lines()
            .skip(1)
            .map(str::trim)
            .find(|line| !line.is_empty() && !line.starts_with("seed"))
            .map_or(String::new(), |line| line.chars().take(24).collect()),
    }
}

/// The shortest text found that fails as this one did, and what is said of it.
pub async fn shrunk(seed: u64, text: &str, told: &str) -> (String, String) {
    let wanted = kind(told);
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let (mut best, mut plays) = (told.to_owned(), 0);
    let mut size = lines.len() / 2;
    while size > 0 && plays < PLAYS {
        // From the end, because what comes late depends on what comes early. The first line says what it is.
        let mut end = lines.len();
        let mut shorter = false;
        while end > 1 && plays < PLAYS {
            let start = end.saturating_sub(size).max(1);
            let mut fewer = lines.clone();
            fewer.drain(start..end);
            plays += 1;
            let life = life::of_text(seed, fewer.join("\n") + "\n").await;
            if let Some(told) = life.told.filter(|told| kind(told) == wanted) {
                (lines, best, shorter) = (fewer, told, true);
            }
            end = start.min(lines.len());
        }
        size = if shorter && size == 1 { 1 } else { size / 2 };
    }
    (lines.join("\n") + "\n", best)
}
