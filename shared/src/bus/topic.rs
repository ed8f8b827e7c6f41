//! The rules of an AMQP topic exchange.

/// Whether a binding's pattern matches a routing key. Both consist of words between dots; in the
/// pattern `*` stands for one word and `#` for any number of words, including none.
pub(super) fn takes(pattern: &str, routing_key: &str) -> bool {
    let pattern: Vec<&str> = pattern.split('.').collect();
    let words: Vec<&str> = routing_key.split('.').collect();
    takes_words(&pattern, &words)
}

fn takes_words(pattern: &[&str], words: &[&str]) -> bool {
    match (pattern, words) {
        ([], []) => true,
        (["#", rest @ ..], _) => (0..=words.len()).any(|eaten| takes_words(rest, &words[eaten..])),
        (["*", rest @ ..], [_, words @ ..]) => takes_words(rest, words),
        ([literal, rest @ ..], [word, words @ ..]) => literal == word && takes_words(rest, words),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::takes;

    #[test]
    fn a_star_is_one_word_and_a_hash_is_any_number() {
        for (pattern, routing_key, expected) in [
            ("user.created", "user.created", true),
            ("user.created", "user.deleted", false),
            ("user.*", "user.created", true),
            ("user.*", "user", false),
            ("user.*", "user.created.v1", false),
            ("*.head", "log.head", true),
            ("user.#", "user", true),
            ("user.#", "user.created.v1", true),
            ("user.#", "users.created", false),
            ("#", "anything.at.all", true),
            ("#.v1", "user.created.v1", true),
            ("#.created.#", "user.created.v1", true),
            ("#.*", "user", true),
        ] {
            assert_eq!(takes(pattern, routing_key), expected, "{pattern} takes {routing_key}");
        }
    }
}
