//! How cloning gets dearer the more clones there are.

use std::time::Instant;

use hull_storage::{Locator, Result};

use super::{Bout, Definition, Fit, Rounds, Row, Tools, Workload, points};
use crate::site::Site;
use crate::trial::Trial;

#[derive(Debug)]
pub(crate) struct FanOut;

const DEFINITION: Definition = Definition {
    id: "fan-out",
    title: "Clones of one parent",
    what: "Clones of the parent are made one after another and kept, 1,000 of them in a full run. At 1, 2, 5, 10, 20, \
50 clones and so on the row has the times of the last clones made until then, at most eight, before which everything is written out. A store that copies ends \
where a round has taken as long as a curve may, or half of the room that there was is taken; the results say where.",
    rows: &[Row::curve("fan-out", "clone, by clones there are", "clones of one parent")],
    rounds: Rounds::Quarter,
};

/// How many clones up to a point count as samples of it.
const WINDOW: u64 = 8;

impl Workload for FanOut {
    fn definition(&self) -> &'static Definition {
        &DEFINITION
    }

    fn prepare<'a>(&self, site: &'a Site, _: &'a Tools) -> Result<Fit<'a>> {
        Ok(Fit::Ready(Box::new(Fanning { site, made: Vec::new() })))
    }
}

struct Fanning<'a> {
    site: &'a Site,
    made: Vec<Locator>,
}

impl Bout for Fanning<'_> {
    fn sample(&mut self, trial: &mut Trial<'_>) -> Result<()> {
        let most = self.site.sizes.fan_out;
        let budget = self.site.patience()?;
        let room = self.site.available()?;
        let begun = Instant::now();
        let mut before = 0;
        'curve: for point in points(most) {
            for number in before + 1..=point {
                trial.go_on()?;
                if let Some(why) = trial.spent(begun.elapsed(), budget, room, self.site)? {
                    trial.truncate(format!("ends at {} clones of {most}: {why}", self.made.len()));
                    break 'curve;
                }
                let counts = number + WINDOW > point;
                if counts && (number == before + 1 || number + WINDOW == point + 1) {
                    // The first that counts: nothing is left to be written of those that do not.
                    self.site.settle(trial.cache())?;
                }
                let clone_begun = Instant::now();
                self.made.push(self.site.clone(&format!("fan{number}"))?);
                if counts {
                    trial.record_at("fan-out", point, clone_begun.elapsed().as_secs_f64());
                }
            }
            before = point;
        }
        self.finish()
    }

    fn finish(&mut self) -> Result<()> {
        for at in self.made.drain(..) {
            self.site.destroy(&at)?;
        }
        self.site.reclaim()
    }
}
