package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// StartPostgres starts a Postgres server of its own. Its superuser is postgres and needs no password.
func StartPostgres(ctx context.Context, config Config) (*Service, error) {
	programs, err := findPostgres()
	if err != nil {
		return nil, err
	}
	account, err := postgresUser()
	if err != nil {
		return nil, err
	}
	dir, held, err := newFolder(config.Detached)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	server := &Service{
		Dir: dir, name: "postgres", config: config, folder: held, user: account,
		// An interrupt is a fast shutdown, a quit an immediate one that takes the children along.
		stopSignal: syscall.SIGINT, deathSignal: syscall.SIGQUIT,
		env: []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH")},
	}
	if err := server.preparePostgres(ctx, programs); err != nil {
		return nil, errors.Join(err, server.Remove())
	}
	if err := server.Start(ctx); err != nil {
		return nil, errors.Join(err, server.Remove())
	}
	return server, nil
}

// findPostgres returns the folder of the server's programs, the newest where there are several.
func findPostgres() (string, error) {
	// Debian keeps them out of the path.
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	version := func(path string) int {
		n, err := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		if err != nil {
			return 0
		}
		return n
	}
	if len(found) > 0 {
		return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })), nil
	}
	initdb, err := exec.LookPath("initdb")
	if err != nil {
		return "", fmt.Errorf("%w: the Postgres server's programs (initdb, postgres)", ErrMissing)
	}
	return filepath.Dir(initdb), nil
}

// postgresUser returns who the server runs as where this process is root, which Postgres refuses.
func postgresUser() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil //nolint:nilnil // No credential means that of this process.
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("%w: the user postgres, as which a server has to run when started by root", ErrMissing)
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user postgres: %w", err)
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user postgres: %w", err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// preparePostgres chooses a port and makes the folder of the data.
func (s *Service) preparePostgres(ctx context.Context, programs string) error {
	port := s.config.Port
	if port == 0 {
		var err error
		if port, err = freePort(); err != nil {
			return err
		}
	}
	s.Address = fmt.Sprintf("postgres://postgres@%s/postgres?sslmode=disable", loopback(port))
	s.ready = func(ctx context.Context) error { return askServer(ctx, s.Address) }

	data := filepath.Join(s.Dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	if s.user != nil {
		if err := os.Chown(data, int(s.user.Uid), int(s.user.Gid)); err != nil {
			return fmt.Errorf("postgres: %w", err)
		}
	}
	initdb := exec.CommandContext(ctx, filepath.Join(programs, "initdb"), "--no-sync", "--auth=trust", "--username=postgres",
		"--encoding=UTF8", "--locale=C", "--pgdata="+data)
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: s.user}
	initdb.Env, initdb.Dir = s.env, s.Dir
	if output, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("postgres: initdb: %w: %s", err, strings.TrimSpace(string(output)))
	}
	settings := append([]string{
		"listen_addresses = '127.0.0.1'", "port = " + strconv.Itoa(port), "unix_socket_directories = ''", "max_connections = 200",
	}, s.config.Settings...)
	file, err := os.OpenFile(filepath.Join(data, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	_, err = file.WriteString(strings.Join(settings, "\n") + "\n")
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	s.program = []string{filepath.Join(programs, "postgres"), "-D", data}
	return nil
}

// askServer reports nil when the server runs queries.
func askServer(ctx context.Context, url string) error {
	connection, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer connection.Close(ctx)
	return connection.Ping(ctx)
}
