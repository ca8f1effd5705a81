//! The pure functions agree with each other: layouts, placements, moves, rebasing.

use std::path::Path;

use hull_storage::{Locator, Mark, TxId};

use super::Bench;
use super::case::{Case, CaseResult, Verdict, require};

pub(super) const CASES: &[Case] = &[
    Case { name: "laws::a_layout_moves_to_where_it_is", needs: &[], run: moving_home_changes_nothing },
    Case { name: "laws::moving_there_and_back_changes_nothing", needs: &[], run: there_and_back },
    Case { name: "laws::staged_and_doomed_names_prove_whose_they_are", needs: &[], run: marked_names },
    Case { name: "laws::a_locator_follows_its_directory", needs: &[], run: rebasing },
    Case { name: "laws::the_name_in_a_locator_is_the_drivers", needs: &[], run: driver_name },
    Case { name: "laws::layout_says_what_create_was_told", needs: &[], run: layout_is_new_layout },
];

const TX: TxId = TxId(0xfeed);

fn moving_home_changes_nothing(bench: &Bench) -> CaseResult {
    let at = bench.make(&bench.store(), "a")?;
    let driver = bench.driver();
    let layout = driver.layout(&at)?;
    let moved = driver.moved(&layout, &driver.placement(&at)?)?;
    require(layout == moved, format!("{layout:?}, moved to its own placement, becomes {moved:?}"))?;
    require(layout.at == at, format!("the layout of {at} is one of {}", layout.at))?;
    Ok(Verdict::Held)
}

fn there_and_back(bench: &Bench) -> CaseResult {
    let at = bench.make(&bench.store(), "a")?;
    let driver = bench.driver();
    let (layout, home) = (driver.layout(&at)?, driver.placement(&at)?);
    let there = driver.moved(&layout, &bench.place("b"))?;
    require(there.at != layout.at, format!("{} does not move", layout.at))?;
    require(there.parts.len() == layout.parts.len(), format!("parts vanish from {layout:?}: {there:?}"))?;
    require(driver.placement(&there.at)? == bench.place("b"), format!("{} is not placed at b", there.at))?;
    let back = driver.moved(&there, &home)?;
    require(back == layout, format!("{layout:?}, moved there and back, becomes {back:?}"))?;
    Ok(Verdict::Held)
}

fn marked_names(bench: &Bench) -> CaseResult {
    let at = bench.make(&bench.store(), "a")?;
    let driver = bench.driver();
    let layout = driver.layout(&at)?;
    let doomed = driver.moved(&layout, &driver.placement(&at)?.doomed(TX))?;
    let staged = driver.moved(&layout, &bench.place("b").staged(TX))?;
    for part in doomed.parts.iter().chain(&staged.parts) {
        require(part.carries(TX), format!("{part} does not prove that {TX} may delete it"))?;
        require(!part.carries(TxId(TX.0 + 1)), format!("{part} carries any id"))?;
        require(part.driver == driver.name(), format!("{part} is the part of another driver"))?;
    }
    for part in &layout.parts {
        require(!part.carries(TX), format!("{part} is marked and nobody marked it"))?;
    }
    Ok(Verdict::Held)
}

fn rebasing(bench: &Bench) -> CaseResult {
    let at = bench.make(&bench.store(), "a")?;
    let driver = bench.driver();
    let layout = driver.layout(&at)?;
    let home = bench.dir().join("volumes");
    let aside = Mark::Old.sibling(&home, TX);
    let rebased = driver.rebased(&at, &home, &aside)?;
    if hull_storage::lies_in(&layout, &home) {
        require(rebased != at, format!("{at} stays behind when {} is renamed", home.display()))?;
        let back = driver.rebased(&rebased, &aside, &home)?;
        require(back == at, format!("{at} becomes {back} when its directory is renamed there and back"))?;
    }
    for elsewhere in ["/nowhere", "/"] {
        if elsewhere != "/" {
            let same = driver.rebased(&at, Path::new(elsewhere), Path::new("/else"))?;
            require(same == at, format!("{at} becomes {same} when {elsewhere} is renamed"))?;
        }
    }
    // A directory whose name only begins alike is another one.
    let alike = bench.dir().join("vol");
    let same = driver.rebased(&at, &alike, Path::new("/else"))?;
    require(same == at, format!("{at} becomes {same} when {} is renamed", alike.display()))?;
    Ok(Verdict::Held)
}

fn driver_name(bench: &Bench) -> CaseResult {
    let at = bench.make(&bench.store(), "a")?;
    let name = bench.driver().name();
    require(at.driver() == name, format!("{name} makes a volume called {at}"))?;
    let again = Locator::new(name, at.at());
    require(again == at, format!("{at} does not survive being written and read"))?;
    let text = serde_round_trip(&at);
    require(text == at, format!("{at} becomes {text} in the journal"))?;
    Ok(Verdict::Held)
}

/// As the journal spells it.
fn serde_round_trip(at: &Locator) -> Locator {
    Locator::try_from(String::from(at.clone())).expect("the journal reads what it spells")
}

fn layout_is_new_layout(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let driver = bench.driver();
    if !driver.capabilities().standalone {
        return Ok(Verdict::DoesNotApply("it makes no empty volumes".into()));
    }
    let planned = driver.new_layout(&bench.place("a"), None)?;
    let at = bench.make_empty(&store, "a")?;
    let found = driver.layout(&at)?;
    require(found == planned, format!("planned {planned:?}, found {found:?}"))?;
    Ok(Verdict::Held)
}
