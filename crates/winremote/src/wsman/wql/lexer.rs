//! A query's text cut into words, literals, marks and the braces with an object path inside.

/// One piece of a query.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A keyword or name.
    Word(String),
    /// Text in quotes, unescaped.
    Text(String),
    /// A whole number.
    Number(i128),
    /// `*`, `,`, `(`, `)` or a comparison.
    Mark(&'static str),
    /// What stands between braces, untouched.
    Path(String),
}

/// A piece and where it starts, in characters from 1.
pub(super) type Placed = (Token, usize);

/// Why and where a text cannot be cut.
pub(super) type Problem = (usize, &'static str);

/// Pieces at most; queries with thousands of conditions are not written by anyone.
const TOKENS_MAX: usize = 10_000;

/// Two-letter marks come first, so that `<=` is not read as `<`.
const MARKS: [&str; 11] = ["<>", "!=", "<=", ">=", "=", "<", ">", "*", ",", "(", ")"];

pub(super) fn cut(text: &str) -> Result<Vec<Placed>, Problem> {
    let letters: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < letters.len() {
        if letters[at].is_whitespace() {
            at += 1;
            continue;
        }
        let (token, next) = next_token(&letters, at)?;
        tokens.push((token, at + 1));
        at = next;
        if tokens.len() > TOKENS_MAX {
            return Err((at, "it has too many parts"));
        }
    }
    Ok(tokens)
}

fn next_token(letters: &[char], at: usize) -> Result<(Token, usize), Problem> {
    let letter = letters[at];
    match letter {
        '\'' | '"' => quoted(letters, at),
        '{' => braced(letters, at),
        '-' | '+' | '0'..='9' => number(letters, at),
        _ if letter.is_alphabetic() || letter == '_' => {
            let end = run(letters, at, |letter| letter.is_alphanumeric() || matches!(letter, '_' | '.'));
            Ok((Token::Word(letters[at..end].iter().collect()), end))
        }
        _ => {
            let found =
                MARKS.iter().find(|mark| mark.chars().eq(letters[at..].iter().copied().take(mark.len())));
            found
                .map(|mark| (Token::Mark(mark), at + mark.len()))
                .ok_or((at + 1, "this character has no meaning"))
        }
    }
}

fn run(letters: &[char], from: usize, belongs: impl Fn(char) -> bool) -> usize {
    from + letters[from..].iter().take_while(|letter| belongs(**letter)).count()
}

fn quoted(letters: &[char], at: usize) -> Result<(Token, usize), Problem> {
    let mut text = String::new();
    let mut here = at + 1;
    while let Some(&letter) = letters.get(here) {
        match letter {
            _ if letter == letters[at] => return Ok((Token::Text(text), here + 1)),
            '\\' => {
                text.push(*letters.get(here + 1).ok_or((at + 1, "these quotes are not closed"))?);
                here += 2;
            }
            _ => {
                text.push(letter);
                here += 1;
            }
        }
    }
    Err((at + 1, "these quotes are not closed"))
}

/// Braces may stand inside the quotes of an object path (GUIDs), so quotes are followed.
fn braced(letters: &[char], at: usize) -> Result<(Token, usize), Problem> {
    let mut inside_quotes = false;
    let mut here = at + 1;
    while let Some(&letter) = letters.get(here) {
        match letter {
            '"' => inside_quotes = !inside_quotes,
            '\\' if inside_quotes => here += 1,
            '}' if !inside_quotes => {
                return Ok((Token::Path(letters[at + 1..here].iter().collect()), here + 1));
            }
            _ => {}
        }
        here += 1;
    }
    Err((at + 1, "this brace is not closed"))
}

fn number(letters: &[char], at: usize) -> Result<(Token, usize), Problem> {
    let hexadecimal = letters[at] == '0' && matches!(letters.get(at + 1), Some('x' | 'X'));
    let start = if hexadecimal { at + 2 } else { at + 1 };
    let end = run(letters, start.min(letters.len()), char::is_alphanumeric);
    let text: String = letters[if hexadecimal { start } else { at }..end].iter().collect();
    let value = if hexadecimal { i128::from_str_radix(&text, 16) } else { text.parse() };
    value.map(|value| (Token::Number(value), end)).map_err(|_| (at + 1, "this is not a whole number"))
}
