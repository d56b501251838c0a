//! Texts of queries, and what is made of their results.
