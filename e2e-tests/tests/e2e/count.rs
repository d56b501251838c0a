//! Answers over many events, without a fault; and `alerts` on them, with some.

mod alerts;
mod drift;
mod engagement_report;
mod erased_person;
mod exact;
mod existing_topic;
mod full_speed;
mod handover;
mod late_duplicates;
mod live;
mod python_client;
mod reads;
mod reads_top;
mod retained;
mod second_observer;
mod sixty_days;
mod sketches;
mod training_set;
