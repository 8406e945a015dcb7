//! Neighbouring messages in one text frame, for clients that ask for it: a page that hears hundreds of events at
//! once is woken once. One message stands by itself, several are a JSON array.

use crate::protocol::ws_frame;

/// Messages that are to be one frame.
#[derive(Debug, Default)]
pub struct Batch {
    /// `[` and the messages with commas between them.
    text: String,
    messages: usize,
}

impl Batch {
    /// Adds a message.
    pub fn push(&mut self, message: &str) {
        self.text.push(if self.messages == 0 { '[' } else { ',' });
        self.text.push_str(message);
        self.messages += 1;
    }

    /// Bytes it holds.
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    /// Appends the frame, if there is a message.
    pub fn append_to(mut self, frames: &mut Vec<u8>) {
        match self.messages {
            0 => {}
            1 => ws_frame::append_text(frames, self.text.get(1..).unwrap_or_default()),
            _ => {
                self.text.push(']');
                ws_frame::append_text(frames, &self.text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_message_stands_by_itself_and_several_are_an_array() {
        let framed = |messages: &[&str]| {
            let mut batch = Batch::default();
            for message in messages {
                batch.push(message);
            }
            let mut frames = Vec::new();
            batch.append_to(&mut frames);
            frames
        };
        assert_eq!(framed(&[]), b"");
        assert_eq!(framed(&["{}"]), b"\x81\x02{}");
        assert_eq!(framed(&["{}", r#"{"a":1}"#]), b"\x81\x0c[{},{\"a\":1}]");
    }
}
