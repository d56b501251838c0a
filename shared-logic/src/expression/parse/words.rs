//! Which words of a text are names.
//!
//! Producers choose the names of fields, and many are words of SQL: `user`, `from`, `order`, `timestamp`. Such a word is a
//! name wherever it can be one. Only the words that expressions themselves are made of, such as `end`, are ambiguous: where a
//! field is called so, its name is written in quotes.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::{Refused, Scope};

/// The words that expressions are made of, besides the names of functions and types.
const GRAMMAR: [Keyword; 15] = [
    Keyword::AND,
    Keyword::AS,
    Keyword::BETWEEN,
    Keyword::CASE,
    Keyword::ELSE,
    Keyword::END,
    Keyword::FALSE,
    Keyword::IN,
    Keyword::IS,
    Keyword::NOT,
    Keyword::NULL,
    Keyword::OR,
    Keyword::THEN,
    Keyword::TRUE,
    Keyword::WHEN,
];

/// Makes plain names of the words that are called like a column of `scope`, so that the parser sees no word of SQL in them.
/// A word before `(` remains the name of a function, one before a text or behind AS that of a type.
///
/// # Errors
/// If a column is called like a word that expressions are made of, and a word could be either.
pub(super) fn find_names(tokens: &mut [TokenWithSpan], scope: &Scope) -> Result<(), Refused> {
    let mut type_follows = false;
    for at in 0..tokens.len() {
        let Some((token, behind)) = tokens[at..].split_first_mut() else { break };
        type_follows = match &mut token.token {
            Token::Whitespace(_) => type_follows,
            Token::DoubleColon => true,
            // `DOUBLE PRECISION` are two.
            Token::Word(word) if type_follows => word.keyword == Keyword::DOUBLE,
            Token::Word(word) => {
                if GRAMMAR.contains(&word.keyword) {
                    refuse_name(word, scope)?;
                } else if !is_function_or_type(behind) && scope.has_alike(&word.value) {
                    word.keyword = Keyword::NoKeyword;
                }
                word.keyword == Keyword::AS
            }
            _ => false,
        };
    }
    Ok(())
}

/// Whether what stands behind a word makes it the name of a function or a type.
fn is_function_or_type(behind: &[TokenWithSpan]) -> bool {
    let next = behind.iter().map(|token| &token.token).find(|token| !matches!(token, Token::Whitespace(_)));
    matches!(next, Some(Token::LParen | Token::SingleQuotedString(_)))
}

fn refuse_name(word: &Word, scope: &Scope) -> Result<(), Refused> {
    if scope.kind_of(&word.value).is_none() {
        return Ok(());
    }
    let name = &word.value;
    let upper = name.to_uppercase();
    let other = if *name == upper { name.to_lowercase() } else { upper };
    let what = format!("`{name}` is a {} and a word of expressions", scope.noun());
    Err(Refused::new(what, format!("write \"{name}\" in quotes for the {}, and {other} for the word", scope.noun())))
}
