//! The headers of a record, in their order.

use std::ffi::CStr;
use std::marker::PhantomData;
use std::ptr;

use rdkafka::bindings as raw;

use super::super::native::{NO_ERROR, slice_of};

/// Iterates over names and values in the order of the record. A name may repeat, and a value may be absent. A name that is
/// not UTF-8, which Kafka forbids but does not check, is returned as the replacement character.
pub struct Headers<'a> {
    list: *const raw::rd_kafka_headers_t,
    next: usize,
    lifetime: PhantomData<&'a raw::rd_kafka_message_t>,
}

impl Headers<'_> {
    /// Parses the headers of a message, if it has any.
    ///
    /// # Safety
    ///
    /// The message must live for the lifetime of the result.
    pub(super) unsafe fn of(message: *const raw::rd_kafka_message_t) -> Self {
        let mut list = ptr::null_mut();
        // SAFETY: the message is live. The list belongs to it and is parsed once; no other thread has the message.
        let code = unsafe { raw::rd_kafka_message_headers(message, &raw mut list) };
        let list = if code == NO_ERROR { list.cast_const() } else { ptr::null() };
        Headers { list, next: 0, lifetime: PhantomData }
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a str, Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.list.is_null() {
            return None;
        }
        let (mut name, mut value, mut len) = (ptr::null(), ptr::null(), 0);
        // SAFETY: the list is live; past its end the call returns an error and writes nothing.
        let code =
            unsafe { raw::rd_kafka_header_get_all(self.list, self.next, &raw mut name, &raw mut value, &raw mut len) };
        if code != NO_ERROR || name.is_null() {
            return None;
        }
        self.next += 1;
        // SAFETY: name and value are memory of the list, which lives as long as the message, that is for 'a; the name
        // is terminated.
        let (name, value) = unsafe {
            let value = (!value.is_null()).then(|| slice_of(value.cast::<u8>(), len));
            (CStr::from_ptr(name).to_str().unwrap_or("\u{fffd}"), value)
        };
        Some((name, value))
    }
}
