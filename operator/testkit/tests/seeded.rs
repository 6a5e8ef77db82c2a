//! The contract is able to fail: a connector that keeps it, and the same with one defect at a time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod sample;

use rstest::rstest;
use sample::Defect;
use sv0_testkit::checks;

mod kept {
    sv0_testkit::contract!(crate::sample::subject(None));
}

/// What a check says of a defect.
fn said(check: &str, defect: Defect) -> Vec<String> {
    let subject = sample::subject(Some(defect));
    match check {
        "guard" => checks::run(checks::guard(&subject)),
        "paging" => checks::run(checks::paging(&subject)),
        "repeated_cursor" => checks::run(checks::repeated_cursor(&subject)),
        "hostile" => checks::run(checks::hostile(&subject)),
        "coverage" => checks::run(checks::coverage(&subject)),
        "redaction" => checks::run(checks::redaction(&subject)),
        "determinism" => checks::run(checks::determinism(&subject)),
        "memory" => checks::run(checks::memory(&subject)),
        "recording" => checks::run(checks::recording(&subject)),
        other => panic!("{other}"),
    }
}

#[rstest]
#[case("guard", Defect::AsksForWhatIsNotListed, "parts is not complete when nothing is wrong")]
#[case("guard", Defect::NeverAsksForPeople, "listPeople is listed and never asked for")]
#[case("guard", Defect::SaysNothingOfWhatIsNotAccepted, "news was not accepted at revision 1")]
#[case("paging", Defect::ReadsTheFirstPageOnly, "of the 4 pages of listThings  only 1 were read")]
#[case("repeated_cursor", Defect::StopsQuietlyWhenACursorRepeats, "things runs in circles and claims to be complete")]
#[case("hostile", Defect::PanicsWithoutAName, "listThings answers with WithoutField(\"name\"): the connector panics")]
#[case("hostile", Defect::OverlooksBrokenItems, "listThings answers with WrongTypes: things claims to be complete")]
#[case(
    "hostile",
    Defect::KeepsWhatNobodyAskedFor,
    "listPeople answers with ExtraRows: an object that nobody asked for"
)]
#[case("hostile", Defect::CountsRepeatedParts, "listParts answers with ExtraRows: parts claims to be complete")]
#[case("hostile", Defect::LetsOneListEndTheScan, "listThings answers with NotJson: the whole scan fails")]
#[case(
    "hostile",
    Defect::SpeaksForAnotherList,
    "listNews answers with NotJson: everything claims to be complete and something else is said"
)]
#[case("coverage", Defect::CallsAnAddOnMissing, "news with Forbidden: an add-on is reported as missing")]
#[case("coverage", Defect::CallsWhatItHasMissing, "nothing is wrong and [\"Thing.Read\"] is missing")]
#[case("coverage", Defect::TakesARefusalForNothing, "things with Forbidden: it is (Complete, \"\")")]
#[case("coverage", Defect::TakesAFailureForThrottling, "parts with Down: it is (Throttled, \"RateLimited\")")]
#[case("coverage", Defect::NamesNoPermission, "things with Forbidden: the missing permission is not named")]
#[case("coverage", Defect::ForgetsWhatPartsAreBuiltUpon, "things with Forbidden: parts is built upon it")]
#[case("coverage", Defect::OverlooksBrokenItems, "things with LastPageLost: it is (Complete, \"\")")]
#[case("redaction", Defect::KeepsWhatIsNotListed, "a field that no operation lists is in a row")]
#[case("recording", Defect::KeepsWhatIsNotListed, "the recording gives other rows")]
#[case("recording", Defect::DoesNotSayWhatIsKeptInside, "does not say what is kept inside marks")]
#[case("determinism", Defect::NumbersByArrival, "the rows differ with 10000 items on a page, backwards")]
#[case("memory", Defect::HoldsRowsBack, "listThings holds its rows back: 0 came before the last of 4 pages")]
fn a_seeded_defect_is_found(#[case] check: &str, #[case] defect: Defect, #[case] sentence: &str) {
    let said = said(check, defect);
    assert!(said.iter().any(|said| said.contains(sentence)), "{defect:?}: {said:#?}");
}

#[test]
fn a_departure_is_expected_and_does_not_outlive_its_defect() {
    let subject = |defect| sample::subject(defect).departs("coverage", "parts is built upon it", "a test");
    let known = subject(Some(Defect::ForgetsWhatPartsAreBuiltUpon));
    assert_eq!(checks::run(checks::coverage(&known)), Vec::<String>::new());
    let mended = checks::run(checks::coverage(&subject(None)));
    assert_eq!(mended, ["no departure any more: parts is built upon it"]);
}

#[test]
fn flags_must_be_true() {
    let stale = sample::subject(None).not_exercised("listParts", "a test");
    assert_eq!(checks::run(checks::guard(&stale)), ["listParts is flagged as not exercised and is"]);
}
