//! What left us for payees and what came back, as the books say it: the one reading of the journal that the dashboard, the
//! earnings, the tax figures, the exports and the statements have in common.
//!
//! *Left us* is what was taken off our balance at a vendor: once for each payment, however often its bank leg is tried.
//! *Came back* is what was put back on it, and what lies refused in a payee's balance at the vendor; what is sent on from
//! there to a bank after all is taken off it again, on the day of that. Of one payment that failed twice at the bank and then
//! arrived, so much left us as it was, and nothing came back. What came back in a span of time can therefore be less than
//! nothing: then money went on to banks that had come back before it.
//!
//! Fees are not the payee's and so in neither.

/// The words that a statement says for it. Its journals are `j` and their postings `p`.
const WORDS: [(&str, &str); 4] = [
    ("{moved}", "j.movement IN ('post', 'park', 'unpark', 'reverse')"),
    ("{ours}", "(p.account LIKE 'vendor_balance:%' OR p.account LIKE 'returned:%')"),
    (
        "{left_us}",
        "CASE WHEN p.account LIKE 'vendor_balance:%' AND p.amount_minor < 0 THEN -p.amount_minor ELSE 0 END",
    ),
    (
        "{came_back}",
        "CASE WHEN p.account LIKE 'vendor_balance:%' AND p.amount_minor < 0 THEN 0 ELSE p.amount_minor END",
    ),
];

/// The statement with these words spelled out.
#[must_use]
pub fn spelled_out(sql: &str) -> String {
    WORDS.iter().fold(sql.to_owned(), |sql, (word, means)| sql.replace(word, means))
}
