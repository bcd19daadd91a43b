//! Time in a simulation: it passes from one moment at which something is due to the next. What is deliberately not here:
//! what is due (`outside` reads it off the database).

use bursar::work;

use super::Outcome;
use crate::outside::Outside;
use crate::world::{DAY, SECOND, World, tick_all};

/// The longest that nobody looks, though something is due.
const LONGEST: i64 = DAY / 2;

/// Lets time pass: in steps that begin with a second and grow, and further where nothing is due before. Those who
/// are awake take turns.
pub async fn live(world: &World, awake: &[usize], outside: &Outside, us: i64) -> Outcome {
    let end = world.vendors_now() + us;
    let (mut step, mut turn) = (SECOND, 0);
    while world.vendors_now() < end {
        let now = world.vendors_now();
        let due = [outside.next_due().await, world.simulator.next_at()].into_iter().flatten().min();
        let to = due.unwrap_or(end).max(now + step).min(end);
        world.pass(to - now);
        step = (step * 3 / 2).min(LONGEST);
        if awake.is_empty() {
            continue;
        }
        world.deliver().await;
        let work = &world.works[awake[turn % awake.len()]];
        for one in awake.iter().map(|worker| &world.works[*worker]) {
            work::beat(one, one.app.clock.now())
                .await
                .map_err(|error| format!("the beat failed: {error:?}"))?;
        }
        match tick_all(work).await {
            Err(told) if !(told.contains("for ever") && world.clocks_differed()) => return Err(told),
            Ok(_) | Err(_) => {}
        }
        turn += 1;
    }
    Ok(())
}
