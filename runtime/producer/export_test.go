package producer

// After is what sequences are counted on with.
var After = after
