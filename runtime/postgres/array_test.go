package postgres

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/stretchr/testify/require"
)

// FuzzArrays writes arrays and reads them with another library's decoder.
func FuzzArrays(f *testing.F) {
	f.Add([]byte("a"), []byte(""), []byte("\x00\xff"), int64(-1))
	f.Fuzz(func(t *testing.T, a, b, c []byte, n int64) {
		types := pgtype.NewMap()
		values := [][]byte{bytes.Clone(a), bytes.Clone(b), {}, bytes.Clone(c)}
		for count := range len(values) + 1 {
			var found [][]byte
			require.NoError(t, types.Scan(pgtype.ByteaArrayOID, pgx.BinaryFormatCode, bytesArray(byteaOID, "", values[:count]), &found))
			require.Len(t, found, count)
			for i := range found {
				require.True(t, bytes.Equal(values[i], found[i]))
			}
			var texts []string
			require.NoError(t, types.Scan(pgtype.TextArrayOID, pgx.BinaryFormatCode, bytesArray(textOID, "1", values[:count]), &texts))
			require.Len(t, texts, count)
			for i := range texts {
				require.Equal(t, "1"+string(values[i]), texts[i])
			}
		}
		var numbers []int64
		require.NoError(t, types.Scan(pgtype.Int8ArrayOID, pgx.BinaryFormatCode, int8Array([]int64{n, 0, -n}), &numbers))
		require.Equal(t, []int64{n, 0, -n}, numbers)
		require.Equal(t, uint64(n), binary.BigEndian.Uint64(int8Value(n)))
	})
}

// FuzzURL gives whatever is set as a URL, with a password in it. No error may show it.
func FuzzURL(f *testing.F) {
	const secret = "QZ7-hidden"
	f.Add("postgres://app:", "@127.0.0.1:5432/app")
	f.Add("postgres://app:", "@h:port/app?sslmode=no")
	f.Add("host=h password=", " sslrootcert=/none")
	f.Add("postgres://h/?sslkey=", "&sslcert=x")
	f.Add("postgres://app:", "@h/?sslrootcert=/none.pem")
	f.Add("sslrootcert='/none password=", "' host=h sslmode=verify-ca")
	f.Fuzz(func(t *testing.T, before, after string) {
		_, _, err := connections(Config{URL: before + secret + after}.withDefaults(), newSockets())
		if err != nil {
			require.NotContains(t, err.Error(), secret)
			require.NotContains(t, err.Error(), "\n")
		}
	})
}
