//! Signs the extent of the activity log with the master key and records the signature outside the database: once a day in
//! the program's own log and in a mail to the auditors. Somebody with write access to the database can cut off the newest
//! rows and chain others in their place, but cannot make the log match an earlier signature.
//!
//! The signature covers the number of rows, the hash of the last, and the root of a Merkle tree over all hashes (as in
//! RFC 6962), so one row can be proven to be in the log without revealing the others. Not here: the chain (`verify`), and
//! writing rows (`store::audit`).

use payout::Refusal;
use payout::notice::Notice;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{OpsError, Result, master_key};
use crate::app::App;
use crate::clock;
use crate::secrets::{MasterKey, OneKey};
use crate::store::{self, Db, StoreError, audit, outbox};
use crate::transact;

/// How many hashes are read at a time.
const PAGE: i64 = 20_000;
const DAY_US: i64 = 86_400_000_000;

/// A node of the tree.
type Hash = [u8; 32];

/// The signed extent of the log: `ROWS.LAST.ROOT.TAG`, all hexadecimal except the number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signature {
    pub rows: i64,
    /// The hash of the last row.
    last: String,
    /// The root of the tree over all rows.
    root: String,
    tag: String,
}

impl Signature {
    fn of(key: &OneKey, rows: i64, last: String, root: String) -> Self {
        let tag = key.sign(&message(rows, &last, &root));
        Self { rows, last, root, tag }
    }

    /// Parses what [`std::fmt::Display`] writes; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('.').map(str::to_owned);
        let (rows, last, root, tag) =
            (parts.next()?.parse().ok()?, parts.next()?, parts.next()?, parts.next()?);
        parts.next().is_none().then_some(Self { rows, last, root, tag })
    }

    /// Who made it, if its content is unchanged.
    pub fn signer(&self, signers: &Signers) -> Signer {
        let message = message(self.rows, &self.last, &self.root);
        let Some(key) = signers.keys.signer(&message, &self.tag) else { return Signer::Nobody };
        match signers.given_up.iter().find(|given_up| given_up.id == key.id()) {
            None => Signer::Present,
            Some(given_up) if !given_up.is_vouched_for => Signer::TooLate,
            Some(given_up) if given_up.log_rows.is_some_and(|rows| self.rows > rows) => Signer::TooLate,
            Some(given_up) => Signer::Before { id: given_up.id.clone(), at: given_up.at },
        }
    }
}

/// The keys that may have signed the log: those in the key file, and retired ones, each for the rows that the log had when it
/// was retired. A key may be retired because someone else has it.
pub struct Signers {
    keys: MasterKey,
    given_up: Vec<master_key::Retired>,
}

impl Signers {
    /// These keys and the retired ones in the database.
    pub async fn of(db: &mut Db, key: &MasterKey) -> store::Result<Self> {
        let given_up = master_key::retired(db, key).await?;
        Ok(Self { keys: key.with(given_up.iter().filter_map(|one| one.key.clone())), given_up })
    }

    /// These keys, without any retired ones.
    pub fn only(keys: MasterKey) -> Self {
        Self { keys, given_up: Vec::new() }
    }
}

/// Which key made a signature.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Signer {
    /// The key of this installation.
    Present,
    /// A key that was retired at this time.
    Before { id: String, at: i64 },
    /// A retired key, for more rows than the log had at its retirement, so made by someone who found that key.
    TooLate,
    /// No key of this installation.
    Nobody,
}

impl Signer {
    /// Why it proves nothing, in words; `None` if it is valid.
    fn flaw(&self) -> Option<&'static str> {
        match self {
            Self::Present | Self::Before { .. } => None,
            Self::TooLate => {
                Some("the signature was made with a key that was given up before the log had so many rows")
            }
            Self::Nobody => Some("the signature was not made with this installation's key, or was changed"),
        }
    }
}

impl std::fmt::Display for Signature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}.{}", self.rows, self.last, self.root, self.tag)
    }
}

fn message(rows: i64, last: &str, root: &str) -> String {
    format!("bursar activity log\n{rows}\n{last}\n{root}")
}

fn leaf(row_hash: &str) -> Hash {
    Sha256::new().chain_update([0]).chain_update(row_hash).finalize().into()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The root of the tree over these leaves. The left part is the largest power of two that leaves something for the right.
fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Sha256::new().finalize().into(),
        [only] => *only,
        more => {
            let (left, right) = more.split_at(split(more.len()));
            node(&root(left), &root(right))
        }
    }
}

fn split(length: usize) -> usize {
    length.next_power_of_two() / 2
}

/// The sibling hashes on the path from a leaf to the root, lowest first.
fn path(leaves: &[Hash], place: usize) -> Vec<Hash> {
    if leaves.len() < 2 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut found, beside) = match place < left.len() {
        true => (path(left, place), root(right)),
        false => (path(right, place - left.len()), root(left)),
    };
    found.push(beside);
    found
}

/// The root computed from a leaf and its sibling hashes; `None` if there are too few or too many.
fn climb(leaf: Hash, place: usize, leaves: usize, beside: &[Hash]) -> Option<Hash> {
    if leaves < 2 {
        return (beside.is_empty() && place < leaves).then_some(leaf);
    }
    let (last, rest) = beside.split_last()?;
    let left = split(leaves);
    Some(match place < left {
        true => node(&climb(leaf, place, left, rest)?, last),
        false => node(last, &climb(leaf, place - left, leaves - left, rest)?),
    })
}

fn hex(hash: &Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Hash> {
    let bytes: Vec<u8> = (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect::<Option<_>>()?;
    bytes.try_into().ok()
}

/// An incrementally built tree: the roots of its complete subtrees, each with its height. Signs a log of any length in
/// little memory.
#[derive(Default)]
struct MerkleFrontier {
    parts: Vec<(u32, Hash)>,
    leaves: i64,
}

impl MerkleFrontier {
    fn push(&mut self, leaf: Hash) {
        let (mut height, mut hash) = (0, leaf);
        while let Some((_, left)) = self.parts.pop_if(|(of, _)| *of == height) {
            (height, hash) = (height + 1, node(&left, &hash));
        }
        self.parts.push((height, hash));
        self.leaves += 1;
    }

    /// The same value as [`root`] of all leaves.
    fn root(&self) -> Hash {
        let joined = self.parts.iter().rev().map(|(_, part)| *part).reduce(|right, left| node(&left, &right));
        joined.unwrap_or_else(|| root(&[]))
    }
}

/// The tree over the first `rows` rows, and the hash of the last of them.
async fn frontier(db: &mut Db, rows: i64) -> store::Result<(MerkleFrontier, String)> {
    let (mut tree, mut last) = (MerkleFrontier::default(), String::new());
    while tree.leaves < rows {
        let some = audit::hashes(db, tree.leaves, PAGE.min(rows - tree.leaves)).await?;
        let Some(newest) = some.last() else { break };
        last.clone_from(newest);
        some.iter().for_each(|hash| tree.push(leaf(hash)));
    }
    Ok((tree, last))
}

/// The leaves of the first `rows` rows, and the hash of the last of them.
async fn leaves(db: &mut Db, rows: i64) -> store::Result<(Vec<Hash>, String)> {
    let (mut leaves, mut last, mut at) = (Vec::new(), String::new(), 0);
    while at < rows {
        let some = audit::hashes(db, at, PAGE.min(rows - at)).await?;
        let Some(newest) = some.last() else { break };
        last.clone_from(newest);
        at += i64::try_from(some.len()).unwrap_or(i64::MAX);
        leaves.extend(some.iter().map(|hash| leaf(hash)));
    }
    Ok((leaves, last))
}

/// Signs the current extent of the log.
pub async fn sign(app: &App) -> Result<Signature> {
    let (key, rows) = signed_by(app).await?;
    let (tree, last) = frontier(&mut app.store.read().await?, rows).await?;
    Ok(Signature::of(&key, rows, last, hex(&tree.root())))
}

/// The current signing key, and the number of rows in the log, read together so that the key cannot change in between.
async fn signed_by(app: &App) -> Result<(OneKey, i64)> {
    transact!(app, |tx| {
        let not_here = || Refusal::new("master_key_missing", master_key::NOT_HERE);
        let key = master_key::hold_if_here(tx, &app.master_key).await?;
        let key = key.ok_or_else(|| OpsError::Conflict(not_here()))?;
        Ok((key, store::counted(tx, "audit").await?))
    })
}

/// Signs the log once a day, and records the signature outside the database.
pub async fn sign_for_the_day(app: &App, now: i64) -> Result<()> {
    let name = Notice::LogSigned.as_str();
    // Another process has the key that signs.
    if app.master_key.is_key_missing() {
        return Ok(());
    }
    let told = outbox::last_sent(&mut app.store.read().await?, name, "").await?;
    if told.is_some_and(|last| last + DAY_US > now) {
        return Ok(());
    }
    let signature = sign(app).await?;
    let told = transact!(app, |tx| {
        if !outbox::may_send(tx, name, "", now, now - DAY_US).await? {
            return Ok(false);
        }
        let detail = serde_json::json!({
            "rows": signature.rows, "signature": signature.to_string(), "date": clock::date(now),
        });
        let notice = (Notice::LogSigned, name.to_owned(), detail.to_string());
        outbox::write(tx, &app.clock, now, [notice]).await?;
        Ok(true)
    })?;
    if told {
        tracing::info!(rows = signature.rows, signature = %signature, "the activity log is signed");
    }
    Ok(())
}

/// How the log differs from a signature, which may be from a retired key; `None` if it matches.
pub async fn difference(db: &mut Db, key: &MasterKey, signed: &Signature) -> store::Result<Option<String>> {
    if let Some(flaw) = signed.signer(&Signers::of(db, key).await?).flaw() {
        return Ok(Some(flaw.to_owned()));
    }
    let (tree, last) = frontier(db, signed.rows).await?;
    if tree.leaves < signed.rows {
        let (rows, there) = (signed.rows, tree.leaves);
        return Ok(Some(format!("{rows} rows were signed and {there} are there: rows were cut off")));
    }
    let same = last == signed.last && hex(&tree.root()) == signed.root;
    Ok((!same).then(|| format!("the first {} rows are not the ones that were signed", signed.rows)))
}

/// Proof that one row is in the log, for someone who cannot see the others.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Proof {
    /// The row's number, from 1.
    pub row: i64,
    /// When, microseconds UTC.
    pub at: i64,
    pub actor: String,
    pub action: String,
    pub subject: String,
    pub detail: String,
    /// The hash of the row before it.
    pub previous_hash: String,
    /// The sibling hashes on the path from the row's leaf to the root, lowest first.
    pub path: Vec<String>,
    pub signature: String,
}

/// Proves that a row is in the current log.
///
/// # Errors
/// [`OpsError::Missing`] if there is no such row.
pub async fn inclusion_proof(app: &App, row: i64) -> Result<Proof> {
    let (key, rows) = signed_by(app).await?;
    let mut db = app.store.read().await?;
    let found = match row {
        1.. => audit::rows(&mut db, row - 1, 1).await?.pop().filter(|found| found.seq == row),
        _ => None,
    };
    let found = found.ok_or(OpsError::Missing)?;
    let (leaves, last) = leaves(&mut db, rows).await?;
    let place = usize::try_from(row - 1).unwrap_or(usize::MAX);
    if place >= leaves.len() {
        return Err(OpsError::Internal(StoreError::Corrupt("the activity log has gaps".to_owned())));
    }
    let signature = Signature::of(&key, rows, last, hex(&root(&leaves)));
    Ok(Proof {
        row,
        at: found.at,
        actor: found.actor,
        action: found.action,
        subject: found.subject,
        detail: found.detail,
        previous_hash: found.previous_hash,
        path: path(&leaves, place).iter().map(hex).collect(),
        signature: signature.to_string(),
    })
}

impl Proof {
    /// Who signed it; `None` if the signature cannot be parsed.
    pub fn signer(&self, signers: &Signers) -> Option<Signer> {
        Signature::parse(&self.signature).map(|signed| signed.signer(signers))
    }

    /// Whether this database has exactly this row; `None` if its log does not reach that far.
    pub async fn matches_database(&self, db: &mut Db) -> store::Result<Option<bool>> {
        let there = audit::rows(db, self.row.saturating_sub(1), 1).await?.pop();
        let there = there.filter(|there| there.seq == self.row);
        // The stored hash alone proves nothing: whoever changed the row may have left it unchanged. Compare the computed hash
        // too.
        let hash = self.told().computed_hash();
        Ok(there.map(|there| there.hash == hash && there.computed_hash() == hash))
    }

    fn told(&self) -> audit::Row {
        audit::Row {
            seq: self.row,
            at: self.at,
            actor: self.actor.clone(),
            action: self.action.clone(),
            subject: self.subject.clone(),
            detail: self.detail.clone(),
            previous_hash: self.previous_hash.clone(),
            hash: String::new(),
        }
    }

    /// Why it proves nothing; `None` if it is valid.
    pub fn flaw(&self, signers: &Signers) -> Option<&'static str> {
        let Some(signed) = Signature::parse(&self.signature) else {
            return Some("its signature cannot be read");
        };
        if let Some(flaw) = signed.signer(signers).flaw() {
            return Some(flaw);
        }
        let places = (usize::try_from(self.row - 1), usize::try_from(signed.rows));
        let beside: Option<Vec<Hash>> = self.path.iter().map(|one| unhex(one)).collect();
        let reached = match (places, beside) {
            ((Ok(place), Ok(rows)), Some(beside)) => {
                climb(leaf(&self.told().computed_hash()), place, rows, &beside)
            }
            _ => None,
        };
        let holds = reached.is_some_and(|root| hex(&root) == signed.root);
        (!holds).then_some("the row was not among the signed ones, or was changed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(count: usize) -> Vec<Hash> {
        (0..count).map(|place| leaf(&place.to_string())).collect()
    }

    #[test]
    fn every_leaf_of_every_tree_is_proven_and_no_other() {
        for count in 1..40 {
            let leaves = some(count);
            let root = root(&leaves);
            let mut growing = MerkleFrontier::default();
            leaves.iter().for_each(|leaf| growing.push(*leaf));
            assert_eq!(growing.root(), root, "{count}");
            for place in 0..count {
                let beside = path(&leaves, place);
                assert_eq!(climb(leaves[place], place, count, &beside), Some(root), "{place} of {count}");
                for other in (0..count).filter(|other| *other != place) {
                    assert_ne!(climb(leaves[other], place, count, &beside), Some(root));
                }
                let longer = [beside.clone(), vec![root]].concat();
                assert_ne!(climb(leaves[place], place, count, &longer), Some(root));
            }
        }
    }

    #[test]
    fn a_tree_says_how_many_leaves_it_has() {
        let mut roots: Vec<Hash> = (0..40).map(|count| root(&some(count))).collect();
        roots.sort_unstable();
        roots.dedup();
        assert_eq!(roots.len(), 40);
    }

    #[test]
    fn a_signature_is_read_as_it_is_written_and_holds_for_one_key() {
        let key = Signers::only(MasterKey::new([7; 32]));
        let other = Signers::only(MasterKey::new([8; 32]));
        let signed = Signature::of(&OneKey::new([7; 32]), 12, "ab".to_owned(), "cd".to_owned());
        assert_eq!(Signature::parse(&format!(" {signed}\n")), Some(signed.clone()));
        assert_eq!((signed.signer(&key), signed.signer(&other)), (Signer::Present, Signer::Nobody));
        assert_eq!(Signature { rows: 11, ..signed.clone() }.signer(&key), Signer::Nobody);
        for bad in ["", "12", "12.ab.cd", "x.ab.cd.ef", "12.ab.cd.ef.gh"] {
            assert_eq!(Signature::parse(bad), None, "{bad}");
        }
        let cut = Signature::parse("12.ab.cd.00").map(|cut| cut.signer(&key));
        assert_eq!(cut, Some(Signer::Nobody));
    }

    #[test]
    fn a_key_that_was_given_up_has_signed_what_was_there_and_no_more() {
        let given_up = |log_rows| master_key::Retired::kept(OneKey::new([7; 32]), 5, log_rows);
        let signed = Signature::of(&OneKey::new([7; 32]), 12, "ab".to_owned(), "cd".to_owned());
        let before = Signer::Before { id: given_up(None).id, at: 5 };
        // Even while it is still in the key file.
        for keys in [MasterKey::new([8; 32]).with([OneKey::new([7; 32])]), MasterKey::new([7; 32])] {
            for (log_rows, signer) in [(Some(12), &before), (Some(11), &Signer::TooLate), (None, &before)] {
                let signers = Signers { keys: keys.clone(), given_up: vec![given_up(log_rows)] };
                assert_eq!(signed.signer(&signers), *signer, "{log_rows:?}");
            }
            let mut unopened = given_up(None);
            unopened.is_vouched_for = false;
            let signers = Signers { keys, given_up: vec![unopened] };
            assert_eq!(signed.signer(&signers), Signer::TooLate);
        }
    }
}
