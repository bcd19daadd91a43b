//! Time in a simulation: it jumps from one due moment to the next. Not here: what is due (`outside` reads it from the
//! database).

use bursar::work::{self, Work};

use super::Outcome;
use crate::outside::Outside;
use crate::world::{DAY, Loop, SECOND, World, tick, tick_all};

/// The longest time without a pass although something is due.
const LONGEST: i64 = DAY / 2;
/// Every so many steps all loops run, whether or not anything is known to be due.
const ALL_EACH: usize = 4;

/// Advances time in growing steps, and further if nothing is due sooner. The processes that are awake take turns.
pub async fn live(world: &World, awake: &[usize], outside: &Outside, us: i64) -> Outcome {
    let end = world.vendors_now() + us;
    let (mut step, mut turn) = (SECOND, 0);
    while world.vendors_now() < end {
        let now = world.vendors_now();
        let ours = outside.next_due().await;
        let due = ours.into_iter().chain([world.simulator.next_at()]).flatten().min();
        let to = due.unwrap_or(end).max(now + step).min(end);
        world.pass(to - now);
        step = (step * 3 / 2).min(LONGEST);
        if awake.is_empty() {
            continue;
        }
        let taken = world.deliver().await;
        let work = &world.works[awake[turn % awake.len()]];
        let everything = taken > 0 || turn % ALL_EACH == 0 || world.clocks_differed();
        if turn % ALL_EACH == 0 {
            for one in awake.iter().map(|worker| &world.works[*worker]) {
                let beaten = work::heartbeat(one, one.app.clock.now()).await;
                beaten.map_err(|error| format!("the beat failed: {error:?}"))?;
            }
        }
        let ticked = match everything {
            true => tick_all(work).await,
            false => tick_due(work, ours, to).await,
        };
        match ticked {
            Err(message) if !(message.contains("for ever") && world.clocks_differed()) => {
                return Err(message);
            }
            Ok(_) | Err(_) => {}
        }
        turn += 1;
    }
    Ok(())
}

/// Runs the loops that have something due, and the others if that had any effect.
async fn tick_due(work: &Work, due: [Option<i64>; 4], now: i64) -> Result<usize, String> {
    let mut done = 0;
    for (which, _) in Loop::ALL.into_iter().zip(due).filter(|(_, at)| at.is_some_and(|at| at <= now)) {
        done += tick(work, which).await?;
    }
    if done > 0 { tick_all(work).await } else { Ok(0) }
}
