//! The layer from outside, on a real Redis.

#[path = "../../../shared-logic/tests/it/dice.rs"]
mod dice;
mod redis;
mod scripts;
