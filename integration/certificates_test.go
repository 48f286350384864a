package integration

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// authority signs certificates. Its folder can be read by the servers, which may run as other users.
type authority struct {
	t           *testing.T
	folder      string
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	// file has the authority's own certificate.
	file string
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	folder, err := os.MkdirTemp("", "flows-certificates-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(folder)) })
	require.NoError(t, os.Chmod(folder, 0o755))
	a := &authority{t: t, folder: folder, file: filepath.Join(folder, name+".pem")}
	template := certificate(name)
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	a.certificate = template
	a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der := a.sign(template, &a.key.PublicKey)
	a.certificate, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(a.file, encode("CERTIFICATE", der), 0o644))
	return a
}

func certificate(name string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
	}
}

func (a *authority) sign(template *x509.Certificate, public *ecdsa.PublicKey) []byte {
	a.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, public, a.key)
	require.NoError(a.t, err)
	return der
}

// pair is a certificate with its key, as files and in one.
type pair struct{ certificate, key, both string }

// issue makes a certificate for a server on loopback and for a client, changed as change says.
func (a *authority) issue(name string, change func(*x509.Certificate)) pair {
	a.t.Helper()
	template := certificate(name)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	if change != nil {
		change(template)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(a.t, err)
	chain, secret := encode("CERTIFICATE", a.sign(template, &key.PublicKey)), encode("PRIVATE KEY", private)
	p := pair{
		certificate: filepath.Join(a.folder, name+".pem"), key: filepath.Join(a.folder, name+".key"),
		both: filepath.Join(a.folder, name+".both.pem"),
	}
	require.NoError(a.t, os.WriteFile(p.certificate, chain, 0o644))
	require.NoError(a.t, os.WriteFile(p.key, secret, 0o600))
	require.NoError(a.t, os.WriteFile(p.both, bytes.Join([][]byte{secret, chain}, nil), 0o600))
	return p
}

func expired(c *x509.Certificate) { c.NotAfter = time.Now().Add(-24 * time.Hour) }

func elsewhere(c *x509.Certificate) {
	c.IPAddresses, c.DNSNames = nil, []string{"elsewhere.example"}
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// giveToPostgres lets the user postgres own a file where this process is root: the server runs as that user then, and
// refuses a key that is another's.
func giveToPostgres(t *testing.T, file string) {
	t.Helper()
	if os.Getuid() != 0 {
		return
	}
	account, err := user.Lookup("postgres")
	require.NoError(t, err)
	uid, err := strconv.Atoi(account.Uid)
	require.NoError(t, err)
	require.NoError(t, os.Chown(file, uid, -1))
}
