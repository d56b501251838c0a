//! Rows of CSV as RFC 4180 words them, character by character.

/// The columns of a row; nothing if it is none.
pub(super) fn columns(text: &str) -> Option<Vec<String>> {
    let mut characters = text.chars().peekable();
    let mut columns = Vec::new();
    loop {
        let mut column = String::new();
        if characters.next_if_eq(&'"').is_some() {
            loop {
                match characters.next()? {
                    '"' if characters.next_if_eq(&'"').is_none() => break,
                    other => column.push(other),
                }
            }
        } else {
            while let Some(plain) = characters.next_if(|next| *next != ',') {
                if matches!(plain, '"' | '\n' | '\r') {
                    return None;
                }
                column.push(plain);
            }
        }
        columns.push(column);
        match characters.next() {
            None => return Some(columns),
            Some(',') => {}
            Some(_) => return None,
        }
    }
}
