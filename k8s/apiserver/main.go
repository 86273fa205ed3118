// A whole Kubernetes API server with its etcd in one process, for tests: the same code as in a cluster, without nodes and
// without controllers, so that objects are validated, authorised and stored, and nothing is scheduled.
//
//	apiserver FOLDER
//
// It listens on loopback ports that were free, keeps everything in FOLDER, prints one line of JSON that says where it
// answers and how to be let in, once it does. It ends when its standard input does, and removes FOLDER: a test that dies leaves
// nothing behind.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"
	"go.etcd.io/etcd/server/v3/embed"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/keyutil"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"
)

// Where it answers, and how an administrator is let in.
type answer struct {
	URL   string `json:"url"`
	CA    string `json:"ca"`
	Token string `json:"token"`
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: apiserver FOLDER")
	}
	folder, err := filepath.Abs(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = os.RemoveAll(folder)
		os.Exit(0)
	}()
	if err := run(context.Background(), folder); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, folder string) error {
	store, err := startEtcd(folder)
	if err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	token, err := randomToken()
	if err != nil {
		return err
	}
	server, err := configure(ctx, folder, store, listener, token)
	if err != nil {
		return err
	}
	go announce(ctx, answer{
		URL:   fmt.Sprintf("https://%s", listener.Addr()),
		CA:    filepath.Join(folder, "apiserver.crt"),
		Token: token,
	})
	return app.Run(ctx, *server)
}

// Says where it is reached.
func startEtcd(folder string) (string, error) {
	// Sockets in the folder: no ports that somebody could take in between. Their names must look like host and port, and are
	// relative, since a socket's path may not be longer than 107 bytes.
	if err := os.Chdir(folder); err != nil {
		return "", err
	}
	client := url.URL{Scheme: "unix", Host: "etcd:0"}
	peer := url.URL{Scheme: "unix", Host: "peer:0"}
	config := embed.NewConfig()
	config.Dir = filepath.Join(folder, "etcd")
	config.ListenClientUrls = []url.URL{client}
	config.AdvertiseClientUrls = []url.URL{client}
	config.ListenPeerUrls = []url.URL{peer}
	config.AdvertisePeerUrls = []url.URL{peer}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	// Nobody reads the data after a crash.
	config.UnsafeNoFsync = true
	config.LogLevel = "error"
	etcd, err := embed.StartEtcd(config)
	if err != nil {
		return "", err
	}
	<-etcd.Server.ReadyNotify()
	return client.String(), nil
}

func configure(ctx context.Context, folder, store string, listener net.Listener, token string) (*options.CompletedOptions, error) {
	tokens, key := filepath.Join(folder, "tokens.csv"), filepath.Join(folder, "service-accounts.key")
	if err := os.WriteFile(tokens, []byte(token+",admin,admin,system:masters\n"), 0o600); err != nil {
		return nil, err
	}
	if err := writeKey(key); err != nil {
		return nil, err
	}
	s := options.NewServerRunOptions()
	flags := pflag.NewFlagSet("apiserver", pflag.ContinueOnError)
	for _, each := range s.Flags().FlagSets {
		flags.AddFlagSet(each)
	}
	if err := flags.Parse([]string{
		"--etcd-servers=" + store,
		"--cert-dir=" + folder,
		"--token-auth-file=" + tokens,
		"--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-signing-key-file=" + key,
		"--service-account-key-file=" + key,
		"--service-cluster-ip-range=10.0.0.0/16",
		// There is no service to be reached by.
		"--endpoint-reconciler-type=none",
	}); err != nil {
		return nil, err
	}
	s.SecureServing.Listener = listener
	s.SecureServing.BindAddress = net.IPv4(127, 0, 0, 1)
	s.SecureServing.BindPort = listener.Addr().(*net.TCPAddr).Port
	s.SecureServing.ExternalAddress = s.SecureServing.BindAddress
	if err := s.GenericServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
		return nil, err
	}
	rest.SetDefaultWarningHandler(rest.NoWarnings{})
	completed, err := s.Complete(ctx)
	if err != nil {
		return nil, err
	}
	return &completed, utilerrors.NewAggregate(completed.Validate())
}

func randomToken() (string, error) {
	bytes := make([]byte, 16)
	_, err := rand.Read(bytes)
	return hex.EncodeToString(bytes), err
}

func writeKey(path string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	pem, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return err
	}
	return keyutil.WriteKey(path, pem)
}

// Prints the answer as soon as the server is ready, its own roles included.
func announce(ctx context.Context, where answer) {
	client, err := kubernetes.NewForConfig(&rest.Config{
		Host:            where.URL,
		BearerToken:     where.Token,
		TLSClientConfig: rest.TLSClientConfig{CAFile: where.CA},
	})
	if err != nil {
		log.Fatal(err)
	}
	for {
		if _, err := client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx); err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err := json.NewEncoder(os.Stdout).Encode(where); err != nil {
		log.Fatal(err)
	}
}
