//! Sums that cannot overflow. SQLite aborts a sum larger than a column, and PostgreSQL's wider sums do not fit one; so
//! every amount is summed as two columns, its upper and lower 32 bits, which are combined here.
//!
//! In a statement, `{sum(amount_minor)}` expands to these two columns, and `{sum(amount_minor) AS net}` names them
//! `net_high` and `net_low`; ordering by both orders by the sum.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::Result;

/// The lower 32 bits.
const LOW: i128 = 0xFFFF_FFFF;

/// Expands every sum in a statement.
pub fn expand_placeholders(sql: &str) -> String {
    let mut text = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some((before, after)) = rest.split_once("{sum(") {
        let Some((hole, behind)) = after.split_once('}') else { break };
        let (of, name) = match hole.rsplit_once(") AS ") {
            Some((of, name)) => (of, Some(name)),
            None => (hole.strip_suffix(')').unwrap_or(hole), None),
        };
        let [high, low] = halves(of);
        let called = |half: &str| name.map(|name| format!(" AS {name}_{half}")).unwrap_or_default();
        text.push_str(&format!("{before}{high}{}, {low}{}", called("high"), called("low")));
        rest = behind;
    }
    text + rest
}

/// The upper and lower half of a sum. The lower half carries into the upper one, so that it is between 0 and 2³² and
/// each sum has a single representation.
fn halves(of: &str) -> [String; 2] {
    let low = format!("COALESCE(CAST(SUM(({of}) & {LOW}) AS BIGINT), 0)");
    [format!("COALESCE(CAST(SUM(({of}) >> 32) AS BIGINT), 0) + ({low} >> 32)"), format!("{low} & {LOW}")]
}

/// The sum in this column and the next.
///
/// # Errors
/// The columns are missing.
pub fn read(row: &AnyRow, column: usize) -> Result<i128> {
    let (high, low): (i64, i64) = (row.try_get(column)?, row.try_get(column + 1)?);
    Ok((i128::from(high) << 32) + i128::from(low))
}

/// The halves of a sum, for comparison with the columns.
pub fn split(sum: i128) -> (i64, i64) {
    let half = |part: i128| i64::try_from(part).unwrap_or(if part < 0 { i64::MIN } else { i64::MAX });
    (half(sum >> 32), half(sum & LOW))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_spelled_out_in_two_columns() {
        let expanded =
            expand_placeholders("a, {sum(CASE WHEN b THEN c ELSE 0 END)}, {sum(d) AS e} behind {where}");
        assert!(
            expanded.starts_with("a, COALESCE(CAST(SUM((CASE WHEN b THEN c ELSE 0 END) >> 32)"),
            "{expanded}"
        );
        assert!(
            expanded.contains(" AS e_high, ") && expanded.ends_with(" AS e_low behind {where}"),
            "{expanded}"
        );
        assert_eq!(expand_placeholders("nothing"), "nothing");
    }

    #[test]
    fn a_sum_is_its_two_halves() {
        for sum in
            [0, 1, -1, LOW, LOW + 1, -LOW - 1, 9_483_950_614_964_385_000, -9_223_372_036_854_775_808 * 50]
        {
            let (high, low) = split(sum);
            assert_eq!((i128::from(high) << 32) + i128::from(low), sum);
            assert!((0..=LOW).contains(&i128::from(low)));
        }
    }
}
