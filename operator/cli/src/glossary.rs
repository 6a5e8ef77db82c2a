//! The glossary: takes `docs/glossary.md`; gives its terms, and of a text those that a reader meets in it. Pure.

/// The document that people read too.
const DOCUMENT: &str = include_str!("../../../docs/glossary.md");

/// Every term with its meaning, in the order of the alphabet.
pub fn terms() -> Vec<(&'static str, &'static str)> {
    DOCUMENT.lines().filter_map(|line| line.strip_prefix("- **")?.split_once("**: ")).collect()
}

/// The terms that stand in `text`, and those that their meanings are told with.
pub fn met_in(text: &str) -> Vec<(&'static str, &'static str)> {
    let all = terms();
    let mut met = vec![false; all.len()];
    let mut unread = vec![words(text)];
    while let Some(words) = unread.pop() {
        for (met, (term, meaning)) in met.iter_mut().zip(&all).filter(|(met, _)| !**met) {
            if stands(term, &words) {
                *met = true;
                unread.push(self::words(meaning));
            }
        }
    }
    all.into_iter().zip(met).filter_map(|(entry, met)| met.then_some(entry)).collect()
}

/// Whether the term stands among these words, as it is or as a plural.
fn stands(term: &str, text: &[String]) -> bool {
    let term = words(term);
    let Some((last, first)) = term.split_last() else { return false };
    text.windows(term.len()).any(|window| {
        let Some((end, begin)) = window.split_last() else { return false };
        begin == first && singulars(end).contains(last)
    })
}

/// The words of a text in small letters.
fn words(text: &str) -> Vec<String> {
    let split = |c: char| !(c.is_alphanumeric() || c == '-' || c == '\'');
    text.split(split).filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

/// The word, and what it may be the plural or the genitive of.
pub fn singulars(word: &str) -> Vec<String> {
    let word = word.strip_suffix("'s").or_else(|| word.strip_suffix('\'')).unwrap_or(word);
    let mut all = vec![word.to_owned()];
    all.extend(word.strip_suffix('s').map(str::to_owned));
    all.extend(word.strip_suffix("es").map(str::to_owned));
    all.extend(word.strip_suffix("ies").map(|stem| format!("{stem}y")));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(text: &str) -> Vec<&'static str> {
        met_in(text).into_iter().map(|(term, _)| term).collect()
    }

    #[test]
    fn a_word_is_met_as_it_stands_as_a_plural_and_as_part_of_no_other() {
        assert!(met("Two Service Principals are there.").contains(&"service principal"));
        assert!(met("its policies").contains(&"policy"));
        assert!(met("the owner's word").contains(&"owner"));
        assert!(!met("the ownerless").contains(&"owner"));
        assert!(met("nothing of ours stands here").is_empty());
    }

    #[test]
    fn what_explains_a_word_is_explained_too() {
        let met = met("blueprint");
        assert!(
            met.contains(&"blueprint") && met.contains(&"agent identity") && met.contains(&"credential"),
            "{met:?}"
        );
    }
}
