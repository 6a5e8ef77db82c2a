// Command probe is the network tool of the test image: a static busybox cannot resolve names (a static glibc
// has no name service modules), a static Go program can.
//
//	probe get URL          prints the status and the body; fails on a connection error, not on a status
//	probe dial HOST:PORT   succeeds when the port accepts a connection
//	probe serve ADDR TEXT  answers every request with TEXT
//	probe sleep            waits for TERM
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const limit = 3 * time.Second

func get(url string) error {
	// Reachability is the question here, not who answers.
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	answer, err := (&http.Client{Timeout: limit, Transport: transport}).Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	fmt.Println(answer.Status)
	_, err = io.Copy(os.Stdout, answer.Body)
	return err
}

func dial(address string) error {
	connection, err := net.DialTimeout("tcp", address, limit)
	if err != nil {
		return err
	}
	return connection.Close()
}

func serve(address, text string) error {
	return http.ListenAndServe(address, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, text)
	}))
}

func run(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "get":
		return get(args[1])
	case len(args) == 2 && args[0] == "dial":
		return dial(args[1])
	case len(args) == 3 && args[0] == "serve":
		return serve(args[1], args[2])
	case len(args) == 1 && args[0] == "sleep":
		stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
		defer cancel()
		<-stop.Done()
		return nil
	}
	return errors.New("usage: probe get URL | dial HOST:PORT | serve ADDR TEXT | sleep")
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}
