# nix-build packaging/nix: the program. A release fills in vendorHash.
{ pkgs ? import <nixpkgs> { } }:

pkgs.buildGoModule {
  pname = "ipns";
  version = "0.1.0";
  src = pkgs.lib.cleanSource ../..;
  vendorHash = pkgs.lib.fakeHash;
  subPackages = [ "cmd/ipns" ];
  env.CGO_ENABLED = 0;
  ldflags = [ "-s" ];
  doCheck = false; # the tests are run in CI: they take minutes and want loopback
  meta = {
    description = "Gives content a name that never changes, and keeps the name alive";
    homepage = "https://github.com/goipns/ipns";
    license = with pkgs.lib.licenses; [ mit asl20 ];
    mainProgram = "ipns";
  };
}
