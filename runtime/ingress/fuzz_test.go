package ingress_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/runtime/problem"
)

// FuzzKeyedRequests makes one request twice, with whatever key, media type, encoding, query and body. It is taken, the second
// time as the same record where it has a key, or refused as the client's fault; the inside is not shown.
func FuzzKeyedRequests(f *testing.F) {
	const taken = `{"id":"a","amount":7}`
	for _, seed := range [][5]string{
		{"k1", "application/json", "", "", taken},
		{`"k1"`, "application/json; charset=UTF-8", "identity", "x=1", taken},
		{`"`, "application/json;charset=latin1", "gzip", "%zz", "{"},
		{"\x00", "text/plain", "", "", ""},
		{strings.Repeat("k", 256), "application/json; =", "", "", `{"id":7}`},
		{"", ";", "", "", `{"id":"permanent"}`},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3], []byte(seed[4]))
	}
	f.Fuzz(func(t *testing.T, key, mediaType, encoding, query string, body []byte) {
		if strings.Contains(string(body), "waits") {
			return // it takes as long as a request may
		}
		s := newService(t, valid())
		ask := func() *httptest.ResponseRecorder {
			request := httptest.NewRequest(http.MethodPost, "/orders", strings.NewReader(string(body)))
			request.URL = &url.URL{Path: "/orders", RawQuery: query}
			for name, value := range map[string]string{"Idempotency-Key": key, "Content-Type": mediaType, "Content-Encoding": encoding} {
				if value != "" {
					request.Header[name] = []string{value}
				}
			}
			answer := httptest.NewRecorder()
			if err := s.serve(answer, request); err != nil {
				_ = problem.Of(err).Write(answer)
			}
			return answer
		}
		first, second := ask(), ask()
		require.NotContains(t, first.Body.String(), "secret")
		require.Equal(t, first.Code, second.Code)
		switch {
		case first.Code != http.StatusAccepted:
			require.Empty(t, s.records())
			require.GreaterOrEqual(t, first.Code, http.StatusBadRequest)
		case key == "":
			require.Len(t, s.records(), 2)
		default:
			require.Len(t, s.records(), 1)
			require.Equal(t, first.Body.String(), second.Body.String())
		}
	})
}
