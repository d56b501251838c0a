//! The repository's rules that no compiler knows. Each failure says which rule, where, and what to do.

mod compose;
mod dependencies;
mod floors;
mod image;
mod imports;
mod settings;
mod sources;
