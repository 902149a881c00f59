package interop;

/** A value that travels as JSON with its class in a header. */
record Price(String item, int cents) {
}
