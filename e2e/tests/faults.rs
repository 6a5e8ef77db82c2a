//! A few faults out of the many that `cargo xtask faults` tries: each program is killed once, and nobody can tell
//! afterwards.

use sv0_e2e::faults::{Campaign, Program, batches};
use sv0_e2e::{Env, Result};

/// Decides where; print another with `cargo xtask faults`.
const SEED: u64 = 20_261;
/// A point that was not reached proves nothing, so each program has a few to choose from.
const CHOICE: usize = 4;

#[test]
fn each_program_is_killed_and_the_findings_stay_the_same() -> Result<()> {
    println!("seed {SEED}");
    let env = Env::read()?;
    if env.audit_log.is_none() {
        println!("skipped: this cluster gives no audit log to place faults by");
        return Ok(());
    }
    let campaign = Campaign::new(env)?;
    let reference = campaign.undisturbed()?;
    println!("{}", reference.describe());
    for program in Program::ALL {
        let mut proven = false;
        for batch in batches(reference.plan(SEED, program, CHOICE)) {
            for verdict in campaign.strike(&reference, &batch[..1])? {
                let point = &verdict.point;
                println!("{} {}: {}, {:?}", program.name(), point.number, point.describe(), verdict.hit);
                assert_eq!(verdict.failure, None, "{} killed: {}", program.name(), point.describe());
                proven |= verdict.is_proof();
            }
            if proven {
                break;
            }
        }
        assert!(proven, "no point of {} was reached", program.name());
    }
    Ok(())
}
