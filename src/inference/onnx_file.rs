//! A walk through an ONNX file's protobuf, for the one thing that must be known before ONNX Runtime sees it: whether a
//! tensor's data lies in another file, which nothing has verified.

/// Deepest nesting of graphs that is followed; real models need 3.
const MAX_DEPTH: u32 = 64;

/// The messages that can lead to a tensor. Numbers below are the field numbers of `onnx.proto`.
#[derive(Debug, Clone, Copy)]
enum Message {
    Model,
    Training,
    Graph,
    Node,
    Attribute,
    Tensor,
    SparseTensor,
    Function,
}

impl Message {
    fn child(self, field: u64) -> Option<Self> {
        match (self, field) {
            (Self::Model, 7) | (Self::Training, 1 | 2) | (Self::Attribute, 6 | 11) => Some(Self::Graph),
            (Self::Model, 20) => Some(Self::Training),
            (Self::Model, 25) => Some(Self::Function),
            (Self::Graph, 1) | (Self::Function, 7) => Some(Self::Node),
            (Self::Graph, 15) | (Self::Attribute, 22 | 23) => Some(Self::SparseTensor),
            (Self::Node, 5) | (Self::Function, 11) => Some(Self::Attribute),
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) | (Self::SparseTensor, 1 | 2) => Some(Self::Tensor),
            _ => None,
        }
    }
}

/// Refuses a model that expects tensor data outside its own file. `O(bytes)`, no copy.
///
/// # Errors
/// The reason: external data, or bytes that are not protobuf.
pub(super) fn refuse_external_data(model: &[u8]) -> Result<(), String> {
    walk(model, Message::Model, 0)
}

fn walk(mut bytes: &[u8], message: Message, depth: u32) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(format!("not an ONNX file: nested deeper than {MAX_DEPTH}"));
    }
    while !bytes.is_empty() {
        let (tag, rest) = varint(bytes)?;
        let (field, wire) = (tag >> 3, tag & 7);
        let (payload, rest) = split(rest, wire)?;
        let external = field == 13 || (field == 14 && payload.first().is_some_and(|location| *location != 0));
        if matches!(message, Message::Tensor) && external {
            return Err("keeps tensor data in another file; export it with all data inside".into());
        }
        if let Some(child) = message.child(field).filter(|_| wire == 2) {
            walk(payload, child, depth + 1)?;
        }
        bytes = rest;
    }
    Ok(())
}

/// A field's payload and what follows it.
fn split(bytes: &[u8], wire: u64) -> Result<(&[u8], &[u8]), String> {
    let (start, len) = match wire {
        0 => (0, bytes.len() - varint(bytes)?.1.len()),
        1 => (0, 8),
        5 => (0, 4),
        2 => {
            let (len, rest) = varint(bytes)?;
            (bytes.len() - rest.len(), usize::try_from(len).unwrap_or(usize::MAX))
        }
        _ => return Err(format!("not an ONNX file: wire type {wire}")),
    };
    let body = &bytes[start..];
    if len > body.len() {
        return Err("not an ONNX file: cut short".into());
    }
    Ok(body.split_at(len))
}

fn varint(bytes: &[u8]) -> Result<(u64, &[u8]), String> {
    let mut value = 0u64;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok((value, &bytes[at + 1..]));
        }
    }
    Err("not an ONNX file: malformed number".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn field(number: u8, payload: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, payload.len() as u8], payload].concat()
    }

    #[test]
    fn sees_external_data_wherever_a_tensor_can_stand() {
        let outside = field(13, b"k");
        let flagged = vec![14 << 3, 1];
        for tensor in [outside, flagged] {
            let initializer = field(7, &field(5, &tensor));
            let constant = field(7, &field(1, &field(5, &field(5, &tensor))));
            let in_branch = field(7, &field(1, &field(5, &field(6, &field(5, &tensor)))));
            for model in [initializer, constant, in_branch] {
                assert!(refuse_external_data(&model).unwrap_err().contains("another file"));
            }
        }
        assert_eq!(refuse_external_data(&field(7, &field(5, &[14 << 3, 0]))), Ok(()));
        assert_eq!(refuse_external_data(include_bytes!("../../tests/data/models/item_tower.onnx")), Ok(()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = refuse_external_data(&bytes);
        }
    }
}
