//! Tests of the conversion to Delta's types.

use arrow::{
    array::{
        Array, AsArray, DictionaryArray, FixedSizeListArray, Float16Array, Int8Array, Int64Array,
        LargeStringArray, MapBuilder, StringArray, StringBuilder, StringViewArray, StructArray,
        TimestampNanosecondArray, UInt8Array, UInt64Array,
    },
    datatypes::{Float16Type, Int8Type, Int32Type, TimestampMicrosecondType},
};

use super::*;

fn table() -> TableName {
    "silver.t".parse().unwrap()
}

fn convert_columns(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let target = delta_schema(&table(), &batch.schema()).unwrap();
    Conversion::in_place(target).apply(&batch).unwrap()
}

#[test]
fn what_delta_lacks_goes_where_it_fits() {
    let keys = Int8Array::from(vec![Some(1), None, Some(0)]);
    let values: ArrayRef = Arc::new(StringArray::from(vec!["x", "y"]));
    let dictionary = DictionaryArray::<Int8Type>::new(keys, values);
    let halves = Float16Array::from_iter_values([1.0, 2.0, 3.0].map(half));
    let batch = convert_columns(vec![
        ("u8", Arc::new(UInt8Array::from(vec![255, 0, 1]))),
        ("u64", Arc::new(UInt64Array::from(vec![1, 2, 3]))),
        ("f16", Arc::new(halves)),
        ("view", Arc::new(StringViewArray::from(vec!["a", "b", "c"]))),
        (
            "large",
            Arc::new(LargeStringArray::from(vec!["a", "b", "c"])),
        ),
        ("dictionary", Arc::new(dictionary)),
        (
            "ns",
            Arc::new(
                TimestampNanosecondArray::from(vec![1_999, 2_000, -1]).with_timezone("+02:00"),
            ),
        ),
    ]);
    let types: Vec<_> = batch
        .schema()
        .fields()
        .iter()
        .map(|field| field.data_type().clone())
        .collect();
    assert_eq!(
        types,
        [
            DataType::Int16,
            DataType::Int64,
            DataType::Float32,
            DataType::Utf8,
            DataType::Utf8,
            DataType::Utf8,
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        ]
    );
    let words = batch.column(5).as_string::<i32>();
    assert_eq!(
        words.iter().collect::<Vec<_>>(),
        [Some("y"), None, Some("x")]
    );
    let times = batch.column(6).as_primitive::<TimestampMicrosecondType>();
    assert_eq!(times.value(0), 1);
}

/// A number as `Float16`, whose crate is not a dependency.
fn half(number: f32) -> <Float16Type as arrow::datatypes::ArrowPrimitiveType>::Native {
    let one = arrow::array::Float32Array::from(vec![number]);
    let cast = arrow::compute::cast(&one, &DataType::Float16).unwrap();
    cast.as_primitive::<Float16Type>().value(0)
}

#[test]
fn nested_columns_are_converted_inside() {
    let inner: ArrayRef = Arc::new(UInt8Array::from(vec![1, 2]));
    let structs = StructArray::from(vec![(
        Arc::new(Field::new("n", DataType::UInt8, false)),
        inner,
    )]);
    let list = FixedSizeListArray::from_iter_primitive::<Int32Type, _, _>(
        vec![Some(vec![Some(1), Some(2)]), None],
        2,
    );
    let mut maps = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    maps.keys().append_value("k");
    maps.values().append_value("v");
    maps.append(true).unwrap();
    maps.append(true).unwrap();
    let batch = convert_columns(vec![
        ("s", Arc::new(structs)),
        ("l", Arc::new(list)),
        ("m", Arc::new(maps.finish())),
    ]);
    let schema = batch.schema();
    assert_eq!(
        schema.field(0).data_type(),
        &DataType::Struct(vec![Field::new("n", DataType::Int16, true)].into())
    );
    assert!(
        matches!(schema.field(1).data_type(), DataType::List(item) if item.name() == "element")
    );
    assert!(batch.column(1).is_null(1));
    assert!(matches!(
        schema.field(2).data_type(),
        DataType::Map(_, false)
    ));
    assert_eq!(batch.column(2).as_map().value_length(0), 1);
}

#[test]
fn what_has_no_home_is_named_with_a_way_out() {
    for (data_type, words) in [
        (DataType::Null, "CAST(NULL AS"),
        (DataType::Time64(TimeUnit::Microsecond), "VARCHAR"),
        (DataType::Duration(TimeUnit::Second), "seconds"),
        (DataType::Decimal256(50, 2), "DECIMAL(38"),
    ] {
        let inner = DataType::Struct(vec![Field::new("b", data_type, true)].into());
        let schema = Schema::new(vec![Field::new("a", inner, true)]);
        let error = delta_schema(&table(), &schema).unwrap_err();
        assert!(
            matches!(&error, LakeError::ColumnType { column, .. } if column == "a.b"),
            "{error}"
        );
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn a_number_that_does_not_fit_is_an_error_with_its_column() {
    let numbers: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX]));
    let batch = RecordBatch::try_from_iter([("big", numbers)]).unwrap();
    let target = delta_schema(&table(), &batch.schema()).unwrap();
    let error = Conversion::in_place(target).apply(&batch).unwrap_err();
    assert!(error.to_string().contains("`big`"), "{error}");
}

#[test]
fn rows_fit_a_table_in_any_order_and_widen() {
    let existing: SchemaRef = Arc::new(Schema::new(vec![
        Field::new("x", DataType::Float64, true),
        Field::new("id", DataType::Int64, true),
    ]));
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![7]));
    let xs: ArrayRef = Arc::new(Int64Array::from(vec![3]));
    let batch = RecordBatch::try_from_iter([("id", ids), ("x", xs)]).unwrap();
    let conversion = Conversion::onto(&batch.schema(), Arc::clone(&existing)).unwrap();
    let converted = conversion.apply(&batch).unwrap();
    assert_eq!(converted.schema(), existing);
    assert_eq!(converted.column(1).as_ref(), batch.column(0).as_ref());

    for (fields, words) in [
        (vec![("id", DataType::Int64)], "`x` is missing"),
        (
            vec![("id", DataType::Utf8), ("x", DataType::Float64)],
            "`id` is Utf8",
        ),
        (
            vec![
                ("id", DataType::Int64),
                ("x", DataType::Float64),
                ("y", DataType::Float64),
            ],
            "no column `y`",
        ),
    ] {
        let fields: Vec<_> = fields
            .into_iter()
            .map(|(name, data_type)| Field::new(name, data_type, true))
            .collect();
        let error = Conversion::onto(&Schema::new(fields), Arc::clone(&existing)).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
}
