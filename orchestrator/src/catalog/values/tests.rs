use super::*;
use crate::catalog::onnx::DataType;

/// What a file with that name and content holds.
fn of(name: &str, content: &[u8]) -> Result<Values, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    read(&path)
}

/// A file as `numpy.save` writes it.
fn npy(version: u8, header: &str, numbers: &[u8]) -> Vec<u8> {
    let length = (header.len() as u32).to_le_bytes();
    let length = if version == 1 { &length[..2] } else { &length[..] };
    [&b"\x93NUMPY"[..], &[version, 0], length, header.as_bytes(), numbers].concat()
}

fn floats(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

#[test]
fn arrays_of_numpy_are_read() {
    let numbers = floats(&[1.0, -2.0, 3.5, 0.0, 0.5, 7.0]);
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }      \n";
    let expected = Values { element: Some(ElementType::Float32), shape: Some(vec![2, 3]), bytes: numbers.clone() };
    for version in [1, 2, 3] {
        assert_eq!(of("x.npy", &npy(version, header, &numbers)), Ok(expected.clone()));
    }
    let scalar = npy(1, "{'descr': '<i8', 'fortran_order': False, 'shape': (), }\n", &7i64.to_le_bytes());
    assert_eq!(of("x.npy", &scalar).unwrap().shape, Some(Vec::new()));
    let list = npy(1, "{'shape': (2,), 'fortran_order': True, 'descr': '|u1'}", &[1, 2]);
    assert_eq!(of("x.npy", &list).unwrap().element, Some(ElementType::Uint8));
}

#[test]
fn what_is_no_array_is_refused() {
    let four = floats(&[0.0; 4]);
    let of_header = |header: &str| of("x.npy", &npy(1, header, &four)).unwrap_err();
    let cases = [
        (of("x.npy", b"PK\x03\x04").unwrap_err(), "no file of NumPy's"),
        (of("x.npy", b"\x93NUMPY").unwrap_err(), "cut off"),
        (of("x.npy", b"\x93NUMPY\x01\x00\xff\xff{}").unwrap_err(), "cut off"),
        (of("x.npy", b"\x93NUMPY\x02\x00\xff\xff\xff\xff").unwrap_err(), "are the most"),
        (of("x.npy", b"\x93NUMPY\x09\x00\x01\x00").unwrap_err(), "version 9"),
        (of_header("{'fortran_order': False, 'shape': (4,)}"), "no descr"),
        (of_header("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2)}"), "column by column"),
        (of_header("{'descr': '>f4', 'fortran_order': False, 'shape': (4,)}"), "highest byte first"),
        (of_header("{'descr': '<U3', 'fortran_order': False, 'shape': (4,)}"), "made of <U3"),
        (of_header("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (4,)}"), "made of records"),
        (
            of_header("{'descr': '<f4', 'fortran_order': False, 'shape': (5,)}"),
            "16 bytes of numbers, which are not f32 [5]",
        ),
        (of_header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}"), "no shape"),
        (of_header("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}"), "16 bytes"),
    ];
    for (message, part) in cases {
        assert!(message.contains(part), "{message} has no {part}");
    }
}

#[test]
fn tensors_of_onnx_are_read_however_they_hold_their_numbers() {
    let tensor = |element: DataType, dims: &[i64]| TensorProto {
        data_type: element.into(),
        dims: dims.to_vec(),
        ..TensorProto::default()
    };
    let bytes = |tensor: TensorProto| of("x.pb", &tensor.encode_to_vec()).map(|values| values.bytes);
    let raw = TensorProto { raw_data: floats(&[1.0, 2.0]).into(), ..tensor(DataType::Float, &[1, 2]) };
    assert_eq!(bytes(raw), Ok(floats(&[1.0, 2.0])));
    let list = TensorProto { float_data: vec![1.0, 2.0], ..tensor(DataType::Float, &[2]) };
    assert_eq!(bytes(list), Ok(floats(&[1.0, 2.0])));
    let small = TensorProto { int32_data: vec![-1, 2], ..tensor(DataType::Int8, &[2]) };
    assert_eq!(bytes(small), Ok(vec![0xff, 2]));
    let halves = TensorProto { int32_data: vec![0x3c00], ..tensor(DataType::Float16, &[1]) };
    assert_eq!(bytes(halves), Ok(vec![0, 0x3c]));
    let doubles = TensorProto { double_data: vec![0.5], ..tensor(DataType::Double, &[]) };
    assert_eq!(bytes(doubles), Ok(0.5f64.to_le_bytes().to_vec()));
    let words = TensorProto { uint64_data: vec![5], ..tensor(DataType::Uint32, &[1]) };
    assert_eq!(bytes(words), Ok(vec![5, 0, 0, 0]));
    assert!(bytes(tensor(DataType::String, &[1])).unwrap_err().contains("string"));
    assert!(bytes(tensor(DataType::Float, &[3])).unwrap_err().contains("0 bytes"));
    assert!(bytes(tensor(DataType::Float, &[-3])).unwrap_err().contains("negative"));
    assert!(of("x.pb", b"no protobuf").unwrap_err().contains("TensorProto"));
}

#[test]
fn bare_numbers_are_taken_as_they_are_and_what_is_no_file_is_refused() {
    assert_eq!(of("x.bin", &[1, 2, 3]), Ok(Values { element: None, shape: None, bytes: vec![1, 2, 3] }));
    let folder = tempfile::tempdir().unwrap();
    assert!(read(folder.path()).unwrap_err().contains("no regular file"));
    assert!(read(&folder.path().join("absent.npy")).unwrap_err().contains("No such file"));
}
