# The formula for Homebrew. A release fills in the version and the hash of the source.
class Ipns < Formula
  desc "Gives content a name that never changes, and keeps the name alive"
  homepage "https://github.com/goipns/ipns"
  url "https://github.com/goipns/ipns/archive/refs/tags/v0.1.0.tar.gz"
  sha256 "0000000000000000000000000000000000000000000000000000000000000000"
  license any_of: ["MIT", "Apache-2.0"]

  depends_on "go" => :build

  def install
    system "go", "build", *std_go_args(ldflags: "-s"), "./cmd/ipns"
    generate_completions_from_executable(bin/"ipns", "commands", "completion", shells: [:bash, :fish, :zsh])
  end

  service do
    run [opt_bin/"ipns", "daemon", "--init"]
    keep_alive successful_exit: false
    log_path var/"log/ipns.log"
    error_log_path var/"log/ipns.log"
  end

  test do
    ENV["IPNS_PATH"] = testpath/"repo"
    system bin/"ipns", "init", "--profile", "test"
    assert_match "k51", shell_output("#{bin}/ipns key list -l")
  end
end
