//! What holds for any input at all. `fuzz/` searches for inputs that break it, for as long as one lets
//! it; here a few thousand are tried in every run.
#![expect(clippy::expect_used, clippy::panic, reason = "a panic here is a failed test")]

mod events;
mod names;
mod passwords;
mod requests;
mod tokens;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn only_what_was_signed_is_a_token(input in prop::collection::vec(any::<u8>(), 0..64)) {
        tokens::check(&input);
    }

    #[test]
    fn a_body_is_one_object_without_doubles_or_refused_without_being_quoted(
        input in prop::collection::vec(any::<u8>(), 0..96),
    ) {
        requests::check(&input);
    }

    #[test]
    fn what_looks_like_json_is_read_like_json(input in r#"[\[\]{}:,"a-c0-9 \\ue.-]{0,40}"#) {
        requests::check(input.as_bytes());
    }

    #[test]
    fn what_the_other_service_has_not_sent_is_no_message(
        input in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        events::check(&input);
    }

    #[test]
    fn a_password_is_the_same_however_often_it_is_prepared_and_is_not_told(
        input in prop::collection::vec(any::<char>(), 0..12),
    ) {
        passwords::check(input.iter().collect::<String>().as_bytes());
    }

    #[test]
    fn a_name_that_is_shown_is_the_same_name(input in prop::collection::vec(any::<char>(), 0..12)) {
        names::check(input.iter().collect::<String>().as_bytes());
    }
}
