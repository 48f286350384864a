// Package router makes functions that take HTTP requests into a topic.
//
// A router's function gets a request with its decoded body and returns the one record that is appended; the client is
// answered 202 once every replica that must have the record has it. The package decodes bodies and checks configs. It
// opens no port, keeps no keys and sends nothing: the app serves its routes beside its own addresses.
//
// # What a client gets
//
//	202  the record is in the topic: {"topic": "orders", "partition": 2, "offset": 1041}
//	400  the body can't be decoded, or the function's error is permanent; "field" names what is wrong where that is known
//	401  the request must be authenticated; 403 where that does not help
//	404  no such path; 405 another method, with Allow
//	408  the body did not come in time
//	413  the body is over the limit, or the record is larger than the topic takes
//	415  another content type or encoding
//	422  the idempotency key was used for another request
//	500  the function failed
//	503  the broker or the database is away, with Retry-After
//
// Errors are problem details (RFC 9457).
//
// # Requests that are made again
//
// A client that got no answer, or 503, does not know whether its record was appended. With an Idempotency-Key header,
// such as a UUID, it makes the request again until it gets an answer, for a day at most, and the record is appended
// once, whatever crashed in between; the answer is the first one. Without the header each request that gets through
// appends a record. A request that was refused leaves its key free. Keys are one space for all clients of a router.
package router
