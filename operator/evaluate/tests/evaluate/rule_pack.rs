//! The manager may not link the rules; it compares their version with a constant. Both must say the same, or new rules
//! would wait for the next scan.

use sv0_engine::fire::rule_pack_version;
use sv0_protocol::RULE_PACK;

#[test]
fn the_manager_knows_the_version_of_the_rules() {
    let version = rule_pack_version();
    assert_eq!(
        RULE_PACK, version,
        "rules or reference data have a new version: set RULE_PACK in operator/protocol/src/evaluate.rs to {version:?}, \
         so that every estate is evaluated once after the upgrade"
    );
}
