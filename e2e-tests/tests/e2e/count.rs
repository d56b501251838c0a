//! Answers over many events, without a fault.

mod exact;
mod existing_topic;
mod handover;
mod late_duplicates;
mod sixty_days;
