//! A walk through an ONNX file's protobuf, for what must be known before ONNX Runtime sees it: whether a tensor's data
//! lies in another file, which nothing has verified, whether it asks for operators from elsewhere, and which weights its lanes
//! can share.

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

/// Domains of the operators that ONNX Runtime brings along.
const DOMAINS: [&[u8]; 4] = [b"", b"ai.onnx", b"ai.onnx.ml", b"com.microsoft"];

/// Refuses a model that is not all in its own file: tensor data elsewhere, or custom operators. Functions that the file itself
/// defines are its own. `O(bytes)`, no copy.
///
/// # Errors
/// The reason, or bytes that are not protobuf.
pub(super) fn refuse_foreign_parts(model: &[u8]) -> Result<(), String> {
    let domain =
        |function| fields(function).filter_map(Result::ok).find_map(|(field, text)| (field == 10).then_some(text));
    let functions = fields(model).filter_map(Result::ok).filter(|(field, _)| *field == 25);
    let own: Vec<&[u8]> = functions.filter_map(|(_, function)| domain(function)).collect();
    walk(model, Message::Model, 0, &own)
}

fn walk(mut bytes: &[u8], message: Message, depth: u32, own: &[&[u8]]) -> Result<(), String> {
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
        if matches!((message, field, wire), (Message::Node, 7, 2))
            && !DOMAINS.contains(&payload)
            && !own.contains(&payload)
        {
            let domain: String = String::from_utf8_lossy(payload).chars().take(80).collect();
            return Err(format!(
                "needs custom operators (domain {domain:?}), and only those of ONNX Runtime itself are run; export it without"
            ));
        }
        if let Some(child) = message.child(field).filter(|_| wire == 2) {
            walk(payload, child, depth + 1, own)?;
        }
        bytes = rest;
    }
    Ok(())
}

/// A constant of the main graph in single precision.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Weight {
    /// Unique in the graph.
    pub(super) name: String,
    /// Sizes.
    pub(super) dims: Vec<i64>,
    /// Row-major.
    pub(super) values: Vec<f32>,
}

/// Element type of [`Weight`] in ONNX.
const FLOAT: u64 = 1;

/// The single-precision weights of the main graph whose numbers lie in the file as raw bytes, which is how PyTorch
/// writes them. Anything else is passed over: a weight that is not found is loaded by each session for itself.
///
/// # Errors
/// Bytes that are not protobuf.
pub(super) fn weights(model: &[u8]) -> Result<Vec<Weight>, String> {
    let mut found = Vec::new();
    for (_, graph) in fields(model).filter_map(Result::ok).filter(|(field, _)| *field == 7) {
        for field in fields(graph) {
            let (number, tensor) = field?;
            if number == 5 {
                found.extend(weight(tensor)?);
            }
        }
    }
    Ok(found)
}

/// The version of ONNX's standard operators that the file asks for; `None` where it says none. `O(top-level fields)`.
pub(super) fn opset(model: &[u8]) -> Option<u64> {
    fields(model).filter_map(Result::ok).filter(|(field, _)| *field == 8).find_map(|(_, entry)| {
        let (mut domain, mut version) = ("", None);
        for (number, payload) in fields(entry).filter_map(Result::ok) {
            match number {
                1 => domain = std::str::from_utf8(payload).ok()?,
                2 => version = Some(varint(payload).ok()?.0),
                _ => {}
            }
        }
        version.filter(|_| matches!(domain, "" | "ai.onnx"))
    })
}

fn weight(tensor: &[u8]) -> Result<Option<Weight>, String> {
    let (mut kind, mut name, mut dims, mut raw) = (0, "", Vec::new(), None);
    for field in fields(tensor) {
        let (number, payload) = field?;
        match number {
            1 => read_dims(payload, &mut dims)?,
            2 => kind = varint(payload)?.0,
            8 => name = std::str::from_utf8(payload).unwrap_or_default(),
            9 => raw = Some(payload),
            _ => {}
        }
    }
    let (values, rest) = raw.unwrap_or_default().as_chunks::<4>();
    let wanted = dims.iter().try_fold(1i64, |all, dim| all.checked_mul(*dim));
    let whole = rest.is_empty() && wanted == i64::try_from(values.len()).ok();
    if kind != FLOAT || name.is_empty() || raw.is_none() || !whole {
        return Ok(None);
    }
    let values = values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    Ok(Some(Weight { name: name.to_owned(), dims, values }))
}

/// Sizes, one a field or packed into one.
fn read_dims(mut payload: &[u8], dims: &mut Vec<i64>) -> Result<(), String> {
    while !payload.is_empty() {
        let (dim, rest) = varint(payload)?;
        dims.push(i64::try_from(dim).unwrap_or(i64::MAX));
        payload = rest;
    }
    Ok(())
}

/// The fields of a message: number and payload.
fn fields(mut bytes: &[u8]) -> impl Iterator<Item = Result<(u64, &[u8]), String>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let field = varint(bytes).and_then(|(tag, rest)| Ok((tag, split(rest, tag & 7)?)));
        match field {
            Ok((tag, (payload, rest))) => {
                bytes = rest;
                Some(Ok((tag >> 3, payload)))
            }
            Err(fault) => {
                bytes = &[];
                Some(Err(fault))
            }
        }
    })
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
        let (low, high) = (payload.len() as u8 & 0x7f | 0x80, (payload.len() >> 7) as u8);
        let tag = u16::from(number) << 3 | 2;
        let tag = if tag < 128 { vec![tag as u8] } else { vec![tag as u8 | 0x80, (tag >> 7) as u8] };
        [&tag[..], &[low, high], payload].concat()
    }

    #[test]
    fn opset_is_that_of_the_standard_operators() {
        let entry = |domain: &[u8], version| field(8, &[field(1, domain), vec![2 << 3, version]].concat());
        assert_eq!(opset(&[entry(b"com.microsoft", 1), entry(b"", 18)].concat()), Some(18));
        assert_eq!(opset(&entry(b"ai.onnx.ml", 3)), None);
        assert_eq!(opset(include_bytes!("../../tests/data/models/ranker.onnx")), Some(17));
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
                assert!(refuse_foreign_parts(&model).unwrap_err().contains("another file"));
            }
        }
        assert_eq!(refuse_foreign_parts(&field(7, &field(5, &[14 << 3, 0]))), Ok(()));
        assert_eq!(refuse_foreign_parts(include_bytes!("../../tests/data/models/item_tower.onnx")), Ok(()));
    }

    #[test]
    fn sees_custom_operators_wherever_a_node_can_stand() {
        let node = |domain: &[u8]| field(1, &[field(4, b"Op"), field(7, domain)].concat());
        let model = |domain: &[u8]| field(7, &node(domain));
        let in_branch = |domain: &[u8]| field(7, &field(1, &field(5, &field(6, &node(domain)))));
        let in_function = |domain: &[u8]| field(25, &[field(10, b"own"), field(7, &node(domain)[3..])].concat());
        let judge = |place: &dyn Fn(&[u8]) -> Vec<u8>| {
            let fault = refuse_foreign_parts(&place(b"com.example")).unwrap_err();
            assert!(fault.contains("custom operators (domain \"com.example\")"), "{fault}");
            assert!(DOMAINS.iter().all(|domain| refuse_foreign_parts(&place(domain)) == Ok(())));
        };
        judge(&model);
        judge(&in_branch);
        judge(&in_function);
        let own = [model(b"own"), in_function(b"")].concat();
        assert_eq!((refuse_foreign_parts(&own), refuse_foreign_parts(&model(b"own")).is_err()), (Ok(()), true));
        let shipped: [&[u8]; 3] = [
            include_bytes!("../../models/demo/ranker.onnx"),
            include_bytes!("../../models/demo/user_tower.onnx"),
            include_bytes!("../../models/demo/item_tower.onnx"),
        ];
        shipped.into_iter().for_each(|model| assert_eq!(refuse_foreign_parts(model), Ok(())));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = refuse_foreign_parts(&bytes);
            let _ = weights(&bytes);
        }

        #[test]
        fn reads_back_a_weight(values in proptest::collection::vec(any::<f32>(), 1..12), packed in any::<bool>()) {
            let dims = if packed { field(1, &[1, values.len() as u8]) } else { vec![8, 1, 8, values.len() as u8] };
            let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            let tensor = [dims, vec![2 << 3, 1], field(8, b"w"), field(9, &raw)].concat();
            let other = [field(1, &[99]), vec![2 << 3, 1], field(8, b"short"), field(9, &raw)].concat();
            let found = weights(&field(7, &[field(5, &tensor), field(5, &other)].concat())).unwrap();
            prop_assert_eq!(found.len(), 1);
            prop_assert_eq!(&found[0].dims, &[1, values.len() as i64]);
            prop_assert!(found[0].values.iter().zip(&values).all(|(a, b)| a.to_bits() == b.to_bits()));
        }
    }

    #[test]
    fn finds_what_pytorch_wrote() {
        let found = weights(include_bytes!("../../models/demo/ranker.onnx")).unwrap();
        let numbers = found.iter().map(|weight| weight.values.len()).sum::<usize>();
        assert!(numbers > 50_000, "4 bytes each, they are most of the file: {numbers}");
    }
}
