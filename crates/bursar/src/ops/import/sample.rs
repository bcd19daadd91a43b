//! The first rows of a file as they will be saved, for review.

use std::collections::HashSet;

use payout::money::Vendor;
use payout::payee::Destination;
use serde::{Deserialize, Serialize};

use super::Report;
use super::layout::columns;
use super::table::Destinations;
use super::table::{Row, Table};
use crate::ops::Result;
use crate::store::Db;
use crate::store::imports::ImportKind;
use crate::store::programs;
use crate::store::rewards::Entered;

/// How many rows are shown.
const SHOWN: usize = 10;

/// The first rows as they will be saved.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Sample {
    pub columns: Vec<String>,
    /// Each row's line and fields.
    pub rows: Vec<(u64, Vec<String>)>,
    /// The totals of all new rewards in the file, one per currency.
    #[serde(default)]
    pub totals: Vec<String>,
    /// Existing payees whose destination changes.
    #[serde(default)]
    pub destinations: Destinations,
}

/// The first rewards as they will be saved, with the names and values filled in from the activity.
pub(super) async fn of_rewards(db: &mut Db, table: &Table, entered: &[Entered]) -> Result<Sample> {
    let columns = ["external_id", "activity", "owner", "value", "payment_type", "form_reference"];
    let columns = columns.into_iter().chain(["earned_on", "expires_on", "note"]);
    let shown = entered.iter().take(SHOWN);
    let shown = shown.filter_map(|one| {
        table.rows.iter().find(|row| row.get("external_id") == one.external_id).map(|row| (row, one))
    });
    let shown: Vec<_> = shown.collect();
    let owners: Vec<String> = shown.iter().map(|(row, _)| row.get("owner").to_owned()).collect();
    let partners = programs::partners_named(db, &owners).await?;
    let activities = programs::all_activities(db).await?;
    let rows = shown.into_iter().map(|(row, one)| {
        let owner = partners.iter().find(|partner| partner.id == one.owner);
        let activity = activities.iter().find(|activity| activity.id == one.activity);
        let fields = vec![
            one.external_id.clone(),
            activity.map_or_else(String::new, |activity| activity.name.clone()),
            owner.map_or_else(String::new, |partner| partner.name.clone()),
            match one.worth {
                programs::RewardValue::Cash(money) => money.to_string(),
                programs::RewardValue::Points(points) => format!("{points} points"),
            },
            one.payment_type.map_or("", |kind| kind.as_str()).to_owned(),
            one.form_reference.clone().unwrap_or_default(),
            one.earned_on.clone().unwrap_or_default(),
            row.get("expires_on").to_owned(),
            one.note.clone().unwrap_or_default(),
        ];
        (row.line, fields)
    });
    let columns = columns.map(str::to_owned).collect();
    Ok(Sample { columns, rows: rows.collect(), ..Sample::default() })
}

/// The first valid rows of any other kind of file. Destinations are masked, as on the payees' pages.
pub(super) fn of_catalogue(what: ImportKind, table: &Table, report: &Report) -> Sample {
    let columns: Vec<String> = columns(what).iter().map(|column| (*column).to_owned()).collect();
    let refused: HashSet<u64> = report.rejected.iter().map(|error| error.line).collect();
    let good = table.rows.iter().filter(|row| !refused.contains(&row.line));
    let fields = |row: &Row| columns.iter().map(|column| shown(row, column)).collect();
    let rows = good.take(SHOWN).map(|row| (row.line, fields(row))).collect();
    let destinations = Destinations::of(&report.destinations);
    Sample { columns, rows, destinations, ..Sample::default() }
}

fn shown(row: &Row, column: &str) -> String {
    let text = row.get(column);
    if column != "destination" || text.is_empty() {
        return text.to_owned();
    }
    let to = Vendor::parse(row.get("vendor")).map(|vendor| Destination::stored(vendor, text));
    to.map_or_else(String::new, |to| to.masked())
}
