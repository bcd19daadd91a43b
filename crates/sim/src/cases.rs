//! Machine and node failures, case by case: a node that freezes inside a commit, with a lease, with an answer; a full
//! or failing disk; a wrong clock. Not here: the workload that runs meanwhile, and what must hold afterwards
//! (`bursar_sim::crash`).

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use bursar_sim::crash::Plan;
use bursar_sim::crash::leader::{Strike, StrikeAction};
use bursar_sim::crash::trouble::{FullDisk, NoSync};

const SECOND_US: i64 = 1_000_000;

/// A small in-memory file system for one case, which can be filled without harming others.
struct Room {
    folder: PathBuf,
}

impl Room {
    /// Mounts one; an error if that is not permitted.
    fn make(number: usize) -> Result<Self, String> {
        let folder = std::env::temp_dir().join(format!("bursar-room-{}-{number}", std::process::id()));
        std::fs::create_dir(&folder).map_err(|error| error.to_string())?;
        let room = Self { folder };
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=24m", "bursar"]).arg(&room.folder);
        match mount.output() {
            Ok(done) if done.status.success() => Ok(room),
            Ok(done) => Err(String::from_utf8_lossy(&done.stderr).trim().to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.folder).output();
        let _ = std::fs::remove_dir(&self.folder);
    }
}

/// Critical moments: money is promised, about to be sent, sent; the vendor has reported it.
const MOMENTS: [&str; 6] = [
    "before ops::pay::pay",
    "after work::begin::all",
    "after POST /v1/transfers",
    "after POST /v1/payments/payouts",
    "before web::kit::event_writer::commit",
    "before work::settle::record_said",
];

/// The cases whose name contains `wanted`.
pub fn all(on_postgres: bool, wanted: &str) -> Vec<(String, Plan)> {
    let mut cases = Vec::new();
    let mut add = |name: &str, point: &str, deed: StrikeAction, change: fn(&mut Plan), nodes: usize| {
        let mut plan = Plan::of(vec![Strike::of(point, 1, deed)], nodes);
        change(&mut plan);
        cases.push((format!("{name}, {point}"), plan));
    };
    let freezes = |seconds| StrikeAction::Freeze(Duration::from_secs(seconds));
    for point in MOMENTS {
        add("it stands still for 8 s", point, freezes(8), |_| {}, 1);
        if on_postgres {
            // Longer than a node may be silent before others declare it dead.
            add("one of two nodes stands still for 8 s", point, freezes(8), |_| {}, 2);
            // Longer than the database allows a transaction to stay open.
            add("one of two nodes stands still for 20 s", point, freezes(20), |_| {}, 2);
        }
        let wrong = |us| StrikeAction::WrongClock(us, Duration::from_secs(5));
        add("the clock is two minutes ahead", point, wrong(120 * SECOND_US), |_| {}, 1);
        add(
            "the clock is three days ahead",
            point,
            wrong(3 * 86_400 * SECOND_US),
            |plan| plan.old_events = true,
            1,
        );
        add(
            "the clock is an hour behind",
            point,
            wrong(-3_600 * SECOND_US),
            |plan| plan.old_events = true,
            1,
        );
    }
    if !on_postgres {
        cases.extend(disks());
    }
    let wanted = |name: &str| wanted == "all" || name.contains(wanted);
    cases.into_iter().filter(|(name, _)| wanted(name)).collect()
}

/// The disk failures, for SQLite only.
fn disks() -> Vec<(String, Plan)> {
    let lasts = Duration::from_secs(4);
    let mut cases = Vec::new();
    for point in MOMENTS {
        for killed in [false, true] {
            let room = match Room::make(cases.len()) {
                Ok(room) => Arc::new(room),
                Err(why) => {
                    println!("no small disk can be had, so none is filled: {why}");
                    break;
                }
            };
            let full = Arc::new(FullDisk::of(&room.folder));
            let mut strikes = vec![Strike::of(point, 1, StrikeAction::Trouble(full, lasts))];
            strikes.extend(killed.then(|| Strike::kill("before ops::nodes::heartbeat", 0)));
            let name = if killed { "the disk is full, and it is started on it" } else { "the disk is full" };
            let folder = Some(room.folder.clone());
            let plan = Plan { may_end: true, folder, kept: Some(room), ..Plan::of(strikes, 1) };
            cases.push((format!("{name}, {point}"), plan));
        }
        match NoSync::make() {
            Ok(broken) => {
                let (variables, broken) = (broken.variables(), Arc::new(broken));
                let strike = Strike::of(point, 1, StrikeAction::Trouble(broken, lasts));
                let plan = Plan { may_end: true, variables, ..Plan::of(vec![strike], 1) };
                cases.push((format!("nothing reaches the disk, {point}"), plan));
            }
            Err(why) => println!("a disk that does not write is not tested: {why}"),
        }
    }
    cases
}
